// A program of Node's beside the gateway: it says where it listens on its first line, and ends when it is told to.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const READY_MS = 60_000;

export class Program {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#process = child;
  }

  static async start(
    file: string,
    cwd: string,
    env: Readonly<Record<string, string>>,
  ): Promise<Program> {
    const child = spawn(process.execPath, [file], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines = createInterface(child.stdout);
    const ended = once(child, "exit").then(([code]) => {
      throw new Error(`${file} ended with ${code} before it was ready`);
    });
    ended.catch(() => undefined);
    const found = (async () => {
      for await (const line of lines) {
        const url = /http:\/\/localhost:\d+/.exec(line)?.[0];
        if (url !== undefined) return url;
      }
      return ended;
    })();
    const late = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`${file} is not ready`)), READY_MS).unref();
    });
    try {
      const url = await Promise.race([found, late]);
      child.stdout.resume();
      return new Program(url, child);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    await gone;
  }
}

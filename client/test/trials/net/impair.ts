// The impaired network of tests/impair, as a program that is steered line by line.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { within } from "../browser/browser.js";

/** How a path behaves, one way; see tests/impair/src/path.rs. */
export interface Conditions {
  readonly delay_ms?: number;
  readonly jitter_ms?: number;
  readonly loss?: number;
  readonly duplicate?: number;
  readonly reorder?: number;
  readonly reorder_ms?: number;
  readonly bytes_per_second?: number;
  readonly queue_bytes?: number;
  readonly blackhole?: boolean;
  readonly retransmission_ms?: number;
}

/** What has passed. */
export interface Counts {
  readonly passed: number;
  readonly lost: number;
  readonly doubled: number;
  readonly clients: number;
}

/** One running program with any number of proxies. */
export class Impair {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(child: ChildProcess, lines: Interface) {
    this.#child = child;
    this.#answers = lines[Symbol.asyncIterator]();
  }

  /** Starts it: IMPAIR_BIN, or where cargo puts it. */
  static start(): Impair {
    const built = fileURLToPath(new URL("../../../../target/debug/impair", import.meta.url));
    const program = process.env.IMPAIR_BIN ?? built;
    if (!existsSync(program)) throw new Error(`${program}: run cargo build --package impair`);
    const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
    return new Impair(child, createInterface({ input: child.stdout }));
  }

  /** A proxy that listens at `listen` and passes on to `to`; gives where it listens. */
  open(name: string, kind: "udp" | "tcp", listen: string, to: string, seed = 1): Promise<string> {
    return this.#tell({ do: "open", name, kind, listen, to, seed });
  }

  async set(name: string, up: Conditions, down: Conditions = up): Promise<void> {
    await this.#tell({ do: "set", name, up, down });
  }

  async rebind(name: string, from: string): Promise<void> {
    await this.#tell({ do: "rebind", name, from });
  }

  counts(name: string): Promise<Counts> {
    return this.#tell({ do: "counts", name });
  }

  /** Ends it as a crash would: nobody is told. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }

  /** One after another: answers come in the order of the questions. */
  #tell<T>(order: object): Promise<T> {
    const answer = this.#turn.then(async () => {
      this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
      const { value } = await within(5_000, JSON.stringify(order), this.#answers.next());
      const said = JSON.parse(value ?? '{"error":"it has ended"}');
      if (said.error !== undefined) throw new Error(said.error);
      return said.ok as T;
    });
    this.#turn = answer.catch(() => undefined);
    return answer;
  }
}

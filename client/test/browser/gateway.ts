// A gateway of the tests' own: TOKENWAY_BIN, on free ports, in a state directory that is thrown away.

import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const READY_MS = 20_000;
const STOP_MS = 5_000;

/** What `GET /v1/channels/{id}` says, as far as the tests look. */
export interface ChannelState {
  readonly last_seq: number;
  readonly epoch: string;
  readonly generations: readonly {
    readonly text: string;
    readonly reasoning: string;
    readonly state: string;
    readonly error: { readonly code: string } | null;
  }[];
}

/** How a gateway is started. */
export interface GatewayOptions {
  /** Its config file's text; the demo without. */
  readonly config?: string;
  /** Where it listens; 127.0.0.1 without. */
  readonly host?: string;
  /** On which TCP port; a free one without. */
  readonly port?: number;
}

/** A running gateway. */
export class Gateway {
  readonly url: string;
  readonly #command: readonly [binary: string, ...args: string[]];
  readonly #folder: string;
  #process: ChildProcess;
  #log = "";

  private constructor(
    url: string,
    command: readonly [binary: string, ...args: string[]],
    folder: string,
  ) {
    this.url = url;
    this.#command = command;
    this.#folder = folder;
    this.#process = this.#spawn();
  }

  #spawn(): ChildProcess {
    const [binary, ...args] = this.#command;
    const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
    const keep = (bytes: Buffer): void => {
      this.#log = (this.#log + bytes.toString()).slice(-20_000);
    };
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
    return child;
  }

  /** What it last wrote. */
  get log(): string {
    return this.#log;
  }

  static async start(options: GatewayOptions = {}): Promise<Gateway> {
    const binary = process.env.TOKENWAY_BIN;
    if (!binary) throw new Error("set TOKENWAY_BIN to the gateway's binary");
    const { config, host = "127.0.0.1", port } = options;
    const [http, quic] = [port ?? (await freeTcpPort(host)), await freeUdpPort(host)];
    const folder = await mkdtemp(join(tmpdir(), "tokenway-browser-"));
    const file = join(folder, "tokenway.yaml");
    if (config !== undefined) await writeFile(file, config);
    const args = [
      ...(config === undefined ? ["demo"] : ["serve", "--config", file]),
      ...["--http", `${host}:${http}`],
      ...["--webtransport", `${host}:${quic}`],
      ...["--state-dir", folder],
    ];
    const gateway = new Gateway(`http://${host}:${http}`, [binary, ...args], folder);
    try {
      await gateway.#ready();
    } catch (error) {
      await gateway.stop();
      throw error;
    }
    return gateway;
  }

  /** How many sessions stand now, and how many there have been. */
  async sessions(): Promise<{ now: number; ever: number }> {
    const lines = (await (await fetch(`${this.url}/metrics`)).text()).split("\n");
    const sum = (name: string): number =>
      lines
        .filter((line) => line.startsWith(`${name}{`))
        .reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);
    return { now: sum("tokenway_sessions"), ever: sum("tokenway_sessions_opened_total") };
  }

  /** Closes the WebTransport endpoint's socket without a word and binds it again 200 ms later. */
  restartWebTransport(): void {
    this.#process.kill("SIGUSR2");
  }

  /** SIGKILL: nobody is told, and what was only in memory is gone. */
  async kill(): Promise<void> {
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }

  /** Starts it again, at the same place and with the same state directory. */
  async restart(): Promise<void> {
    this.#process = this.#spawn();
    await this.#ready();
  }

  async channel(id: string): Promise<ChannelState> {
    const response = await fetch(`${this.url}/v1/channels/${id}`, {
      signal: AbortSignal.timeout(5_000),
    });
    if (!response.ok) throw new Error(`channel ${id}: ${response.status}`);
    return (await response.json()) as ChannelState;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const gone = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      const patience = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MS);
      await gone;
      clearTimeout(patience);
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    let failure: unknown;
    this.#process.once("error", (error) => {
      failure = error;
    });
    const until = Date.now() + READY_MS;
    while (Date.now() < until) {
      if (failure !== undefined) throw failure;
      if (this.#process.exitCode !== null) throw new Error(`the gateway ended:\n${this.#log}`);
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (answer?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`the gateway is not ready after ${READY_MS} ms:\n${this.#log}`);
  }
}

export async function freeTcpPort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

async function freeUdpPort(host: string): Promise<number> {
  const socket = createSocket("udp4").bind(0, host);
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}

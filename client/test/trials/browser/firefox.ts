// Firefox, by WebDriver BiDi and without geckodriver. It cannot be told to freeze a tab: the processes that hold the
// pages are stopped, which is what a device that sleeps does to them while the browser's own network goes on.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import {
  type Browser,
  type LaunchOptions,
  now,
  type Page,
  pause,
  STEP_MS,
  type Thawed,
  within,
} from "./browser.js";
import { Exchange } from "./exchange.js";

/** Nothing that calls out, asks, or slows down what is not looked at. */
const PREFERENCES = {
  "app.update.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "services.settings.server": "data:,",
  "toolkit.telemetry.enabled": false,
  "dom.ipc.processCount": 8,
  // Its children say what they are on their command line only if they are started one by one.
  "dom.ipc.forkserver.enable": false,
  // A stopped process is part of a trial, not a hang to report.
  "dom.ipc.reportProcessHangs": false,
};

/** Firefox, from FIREFOX or where Debian puts it. */
export async function launchFirefox(options: LaunchOptions = {}): Promise<Browser> {
  const folder = await mkdtemp(join(tmpdir(), "tokenway-firefox-"));
  const preferences = Object.entries(PREFERENCES).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`,
  );
  await writeFile(join(folder, "user.js"), preferences.join("\n"));
  const binary = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
  const flags = ["--headless", "--no-remote", "--profile", folder, "--remote-debugging-port", "0"];
  const enter = options.namespace ? ["ip", "netns", "exec", options.namespace] : [];
  const [program = "", ...args] = [...enter, binary, ...flags, ...(options.flags ?? [])];
  const child = spawn(program, args, {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, HOME: folder, MOZ_CRASHREPORTER_DISABLE: "1" },
  });
  const firefox = new Firefox(child, folder);
  try {
    await firefox.begin(options.namespace);
    return firefox;
  } catch (error) {
    await firefox.close();
    throw error;
  }
}

class Firefox implements Browser {
  readonly name = "firefox";
  version = "";
  readonly #child: ChildProcess;
  readonly #folder: string;
  #relay: ChildProcess | undefined;
  #bidi: Exchange | undefined;
  #socket: WebSocket | undefined;

  constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
  }

  /** Connects to its remote end and begins a session. */
  async begin(namespace: string | undefined): Promise<void> {
    const address = await within(30_000, "Firefox's start", this.#announced());
    const { host, port } = new URL(address);
    let reach = `ws://${host}`;
    if (namespace !== undefined) {
      // Its port is inside the namespace; a socket in the file system is not.
      const socket = join(this.#folder, "bidi.sock");
      await this.#relayIn(namespace, socket, port);
      reach = `ws+unix:${socket}:`;
    }
    this.#bidi = await this.#connect(`${reach}/session`, host);
    const { capabilities } = await this.#bidi.send<{ capabilities: { browserVersion: string } }>(
      "session.new",
      { capabilities: {} },
    );
    this.version = capabilities.browserVersion;
  }

  async open(url: string): Promise<Page> {
    const bidi = this.#session;
    const { userContext } = await bidi.send<{ userContext: string }>(
      "browser.createUserContext",
      {},
    );
    return openWindow(bidi, userContext, url, async () => {
      await bidi.send("browser.removeUserContext", { userContext });
    });
  }

  async freeze(ms: number): Promise<Thawed> {
    const pages = await this.#processesOfPages();
    if (pages.length === 0) throw new Error("no process of Firefox's holds a page");
    for (const pid of pages) process.kill(pid, "SIGSTOP");
    try {
      await pause(ms);
      const thawed = now();
      return () => thawed;
    } finally {
      for (const pid of pages) process.kill(pid, "SIGCONT");
    }
  }

  async close(): Promise<void> {
    await this.#bidi?.send("browser.close", {}).catch(() => undefined);
    this.#socket?.close();
    for (const child of [this.#relay, this.#child]) {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, "exit");
      child.kill(child === this.#relay ? "SIGKILL" : "SIGTERM");
      await within(5_000, "Firefox's end", gone).catch(() => child.kill("SIGKILL"));
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  get #session(): Exchange {
    if (this.#bidi === undefined) throw new Error("Firefox has no session");
    return this.#bidi;
  }

  /** The address it says on its standard error. */
  #announced(): Promise<string> {
    return new Promise((resolve, reject) => {
      let said = "";
      this.#child.stderr?.on("data", (bytes: Buffer) => {
        said = (said + bytes.toString()).slice(-20_000);
        const found = /WebDriver BiDi listening on (ws:\S+)/.exec(said)?.[1];
        if (found !== undefined) resolve(found);
      });
      this.#child.once("error", reject);
      this.#child.once("exit", () => reject(new Error(`Firefox ended:\n${said}`)));
    });
  }

  /** Talks to `address` (a URL, or `ws+unix:…`) as to `host`. */
  async #connect(address: string, host: string): Promise<Exchange> {
    const socket = new WebSocket(address, { headers: { host }, perMessageDeflate: false });
    this.#socket = socket;
    const exchange = new Exchange((text) => socket.send(text));
    socket.on("message", (data) => exchange.take(String(data)));
    socket.on("close", () => exchange.end(new Error("Firefox has gone")));
    const opened = new Promise<void>((resolve, reject) => {
      socket.once("open", resolve);
      socket.on("error", reject);
    });
    await within(STEP_MS, "a connection to Firefox", opened);
    return exchange;
  }

  /** A process in the namespace that carries connections to `socket` to a port there. */
  async #relayIn(namespace: string, socket: string, port: string): Promise<void> {
    const script = `const { connect, createServer } = require("node:net");
      createServer((from) => {
        const to = connect(${port}, "127.0.0.1");
        for (const [a, b] of [[from, to], [to, from]]) a.pipe(b).on("error", () => a.destroy());
      }).listen(${JSON.stringify(socket)}, () => console.log("ready"));`;
    const relay = spawn("ip", ["netns", "exec", namespace, process.execPath, "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#relay = relay;
    await within(STEP_MS, "the relay's start", once(relay.stdout, "data"));
  }

  /** Of its children, those that hold web pages. */
  async #processesOfPages(): Promise<number[]> {
    const found = [];
    for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
      const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      const words = line.split("\0").filter((word) => word !== "");
      const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      const ours = await this.#isOurs(stat);
      if (ours && words.includes("-contentproc") && words.at(-1) === "tab") found.push(Number(pid));
    }
    return found;
  }

  /** Whether a process descends from this Firefox. */
  async #isOurs(stat: string): Promise<boolean> {
    let line = stat;
    while (line !== "") {
      const parent = Number(line.slice(line.lastIndexOf(")") + 2).split(" ")[1]);
      if (parent === this.#child.pid) return true;
      if (!(parent > 1)) return false;
      line = await readFile(`/proc/${parent}/stat`, "utf8").catch(() => "");
    }
    return false;
  }
}

type Evaluated =
  | { type: "success"; result: { value?: string } }
  | { type: "exception"; exceptionDetails: { text: string } };

/** A window each: a tab behind another one has no animation frames. */
async function openWindow(
  bidi: Exchange,
  userContext: string,
  url: string,
  closed: () => Promise<void>,
): Promise<FirefoxPage> {
  const { context } = await bidi.send<{ context: string }>("browsingContext.create", {
    type: "window",
    userContext,
  });
  await bidi.send("browsingContext.navigate", { context, url, wait: "complete" });
  return new FirefoxPage(bidi, context, userContext, closed);
}

class FirefoxPage implements Page {
  readonly #bidi: Exchange;
  readonly #context: string;
  readonly #userContext: string;
  readonly #closed: () => Promise<void>;

  constructor(bidi: Exchange, context: string, userContext: string, closed: () => Promise<void>) {
    this.#bidi = bidi;
    this.#context = context;
    this.#userContext = userContext;
    this.#closed = closed;
  }

  beside(url: string): Promise<Page> {
    return openWindow(this.#bidi, this.#userContext, url, async () => undefined);
  }

  async evaluate<A, T>(work: (arg: A) => T | Promise<T>, arg: A): Promise<T> {
    const expression = `(async () => JSON.stringify(await (${work})(${JSON.stringify(arg)})))()`;
    const said = await this.#bidi.send<Evaluated>("script.evaluate", {
      expression,
      target: { context: this.#context },
      awaitPromise: true,
    });
    if (said.type === "exception") throw new Error(said.exceptionDetails.text);
    return said.result.value === undefined ? (undefined as T) : JSON.parse(said.result.value);
  }

  async reload(): Promise<void> {
    await this.#bidi.send("browsingContext.reload", { context: this.#context, wait: "complete" });
  }

  async screenshot(path: string): Promise<void> {
    const { data } = await this.#bidi.send<{ data: string }>("browsingContext.captureScreenshot", {
      context: this.#context,
    });
    await writeFile(path, Buffer.from(data, "base64"));
  }

  async close(): Promise<void> {
    await this.#bidi.send("browsingContext.close", { context: this.#context });
    await this.#closed();
  }
}

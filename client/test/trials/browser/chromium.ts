// Chromium, by its DevTools protocol over a pipe. Not by playwright-core, which keeps every page focused: such a page
// can never be frozen. A page is frozen here as the browser itself freezes a tab that nobody looks at.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import {
  type Browser,
  type LaunchOptions,
  now,
  type Page,
  pause,
  type Thawed,
  type Work,
  within,
} from "./browser.js";
import { Exchange } from "./exchange.js";
import { tasksOf } from "./trace.js";

const FLAGS = [
  "--headless",
  "--remote-debugging-pipe",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  // A window in front of another one does not make that one a background page.
  "--disable-backgrounding-occluded-windows",
];

/** Chromium, from CHROMIUM or where Debian puts it. */
export async function launchChromium(options: LaunchOptions = {}): Promise<Browser> {
  const folder = await mkdtemp(join(tmpdir(), "tokenway-chromium-"));
  const binary = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const enter = options.namespace ? ["ip", "netns", "exec", options.namespace] : [];
  const flags = [...FLAGS, `--user-data-dir=${folder}`, ...(options.flags ?? [])];
  const [program = "", ...args] = [...enter, binary, ...flags];
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const chromium = new Chromium(child, folder);
  try {
    await chromium.begin();
    return chromium;
  } catch (error) {
    await chromium.close();
    throw error;
  }
}

class Chromium implements Browser {
  readonly name = "chromium";
  version = "";
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #devtools: Exchange;
  readonly #pages = new Set<ChromiumPage>();

  constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    const [to, from] = [child.stdio[3] as Writable, child.stdio[4] as Readable];
    this.#devtools = new Exchange((text) => to.write(`${text}\0`));
    let rest = "";
    from.on("data", (bytes: Buffer) => {
      const messages = (rest + bytes.toString()).split("\0");
      rest = messages.pop() ?? "";
      for (const message of messages) this.#devtools.take(message);
    });
    const gone = (): void => this.#devtools.end(new Error("Chromium has gone"));
    to.on("error", gone);
    child.once("error", gone);
    child.once("exit", gone);
  }

  async begin(): Promise<void> {
    const { product } = await this.#devtools.send<{ product: string }>("Browser.getVersion");
    this.version = product.replace(/^.*\//, "");
  }

  async open(url: string): Promise<Page> {
    const devtools = this.#devtools;
    const { browserContextId } = await devtools.send<{ browserContextId: string }>(
      "Target.createBrowserContext",
    );
    return this.#openIn(browserContextId, url, async () => {
      await devtools.send("Target.disposeBrowserContext", { browserContextId });
    });
  }

  async #openIn(
    browserContextId: string,
    url: string,
    closed?: () => Promise<void>,
  ): Promise<ChromiumPage> {
    const devtools = this.#devtools;
    const { targetId } = await devtools.send<{ targetId: string }>("Target.createTarget", {
      url,
      browserContextId,
      newWindow: true,
    });
    const { sessionId } = await devtools.send<{ sessionId: string }>("Target.attachToTarget", {
      targetId,
      flatten: true,
    });
    const beside = (next: string): Promise<Page> => this.#openIn(browserContextId, next);
    const page = new ChromiumPage(devtools, sessionId, beside, async () => {
      this.#pages.delete(page);
      if (closed) await closed();
      else await devtools.send("Target.closeTarget", { targetId });
    });
    this.#pages.add(page);
    await page.loaded();
    return page;
  }

  async freeze(ms: number, isBack?: (page: Page, since: number) => unknown): Promise<Thawed> {
    const pages = [...this.#pages];
    await Promise.all(pages.map((page) => page.freeze()));
    await pause(ms);
    const thawed = new Map<Page, number>();
    for (const page of pages) {
      const at = now();
      thawed.set(page, at);
      await page.thaw();
      await isBack?.(page, at);
    }
    return (page) => thawed.get(page) as number;
  }

  tasks(pages: readonly Page[], ms: number): Promise<number[][]> {
    return tasksOf(this.#devtools, pages, () => pause(ms));
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = once(this.#child, "exit");
      this.#devtools.send("Browser.close").catch(() => undefined);
      await within(5_000, "Chromium's end", gone).catch(() => this.#child.kill("SIGKILL"));
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/** Who asked for how much, and whom they called. */
interface Allocations {
  readonly selfSize: number;
  readonly children: readonly Allocations[];
}

interface Evaluated {
  readonly result: { readonly value?: unknown };
  readonly exceptionDetails?: { readonly exception?: { readonly description?: string } };
}

class ChromiumPage implements Page {
  readonly #devtools: Exchange;
  readonly #session: string;
  readonly beside: (url: string) => Promise<Page>;
  readonly close: () => Promise<void>;

  constructor(
    devtools: Exchange,
    session: string,
    beside: (url: string) => Promise<Page>,
    close: () => Promise<void>,
  ) {
    this.#devtools = devtools;
    this.#session = session;
    this.beside = beside;
    this.close = close;
  }

  async evaluate<A, T>(work: (arg: A) => T | Promise<T>, arg: A): Promise<T> {
    const { result, exceptionDetails } = await this.#send<Evaluated>("Runtime.evaluate", {
      expression: `(${work})(${JSON.stringify(arg)})`,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? "it threw");
    return result.value as T;
  }

  /** Waits until the document has run. */
  async loaded(): Promise<void> {
    await this.evaluate(
      () =>
        new Promise<void>((resolve) => {
          if (document.readyState === "complete" && location.href !== "about:blank") resolve();
          else addEventListener("load", () => resolve());
        }),
      null,
    ).catch(async () => {
      // The blank document that the page began with has gone in between.
      await pause(50);
      await this.loaded();
    });
  }

  async reload(): Promise<void> {
    const began = await this.evaluate(() => performance.timeOrigin, null);
    await this.#send("Page.reload");
    const again = (before: number) =>
      performance.timeOrigin !== before && document.readyState === "complete";
    while (!(await this.evaluate(again, began).catch(() => false))) await pause(20);
  }

  async screenshot(path: string): Promise<void> {
    const { data } = await this.#send<{ data: string }>("Page.captureScreenshot");
    await writeFile(path, Buffer.from(data, "base64"));
  }

  async heapBytes(): Promise<number> {
    await this.#send("HeapProfiler.collectGarbage");
    return (await this.#send<{ usedSize: number }>("Runtime.getHeapUsage")).usedSize;
  }

  async allocated(work: () => Promise<void>): Promise<number> {
    await this.#send("HeapProfiler.startSampling", {
      samplingInterval: 16 * 1024,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    });
    await work();
    const { profile } = await this.#send<{ profile: { head: Allocations } }>(
      "HeapProfiler.stopSampling",
    );
    const sum = ({ selfSize, children }: Allocations): number =>
      children.reduce((all, one) => all + sum(one), selfSize);
    return sum(profile.head);
  }

  async work(): Promise<Work> {
    await this.#send("Performance.enable", { timeDomain: "threadTicks" });
    const { metrics } = await this.#send<{ metrics: { name: string; value: number }[] }>(
      "Performance.getMetrics",
    );
    const of = (name: string): number =>
      1_000 * (metrics.find((metric) => metric.name === name)?.value ?? Number.NaN);
    return {
      taskMs: of("TaskDuration"),
    };
  }

  async freeze(): Promise<void> {
    await this.#look(false);
    await this.#send("Page.setWebLifecycleState", { state: "frozen" });
  }

  /** Looked at again: a page is hidden before it is frozen, and no longer frozen is still hidden. */
  async thaw(): Promise<void> {
    await this.#send("Page.setWebLifecycleState", { state: "active" });
    await this.#look(true);
  }

  /** Whether somebody looks at the page. */
  async #look(enabled: boolean): Promise<void> {
    await this.#send("Emulation.setFocusEmulationEnabled", { enabled });
  }

  #send<T>(method: string, params: object = {}): Promise<T> {
    return this.#devtools.send(method, params, this.#session);
  }
}

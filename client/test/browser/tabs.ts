// Chromium with real tabs: one of a window is seen and the others are hidden, as playwright's own pages never are.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium } from "playwright-core";

const START_MS = 30_000;

/** A browser of the test's own. */
export class TabbedBrowser {
  readonly context: BrowserContext;
  readonly #browser: Browser;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(browser: Browser, child: ChildProcess, folder: string) {
    const [context] = browser.contexts();
    if (context === undefined) throw new Error("the browser has no window");
    this.context = context;
    this.#browser = browser;
    this.#process = child;
    this.#folder = folder;
  }

  static async start(): Promise<TabbedBrowser> {
    const folder = await mkdtemp(join(tmpdir(), "tokenway-tabs-"));
    const args = [
      ...["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"],
      ...["--disable-background-networking", "--disable-component-update"],
      ...["--remote-debugging-port=0", `--user-data-dir=${folder}`, "about:blank"],
    ];
    const path = process.env.CHROMIUM ?? "/usr/bin/chromium";
    const child = spawn(path, args, { stdio: ["ignore", "ignore", "pipe"] });
    const url = await new Promise<string>((resolve, reject) => {
      let said = "";
      child.stderr.on("data", (bytes: Buffer) => {
        said += bytes.toString();
        const found = /ws:\/\/\S+/.exec(said);
        if (found) resolve(found[0]);
      });
      child.once("exit", () => reject(new Error(`the browser ended:\n${said}`)));
      child.once("error", reject);
    });
    // Without playwright's defaults, one of which is that every page is seen.
    const options = { noDefaults: true, timeout: START_MS };
    return new TabbedBrowser(await chromium.connectOverCDP(url, options), child, folder);
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const gone = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      await gone;
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

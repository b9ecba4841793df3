// The console in headless Chromium, and what the tests do there. Every step has a time limit.

import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import type { ChannelProbe } from "../../console/probe.js";
import type { ClientSnapshot } from "../../src/index.js";

const STEP_MS = 30_000;
/** As long as the longest generation of the demo may take. */
const END_MS = 120_000;

/** Chromium, from CHROMIUM or where Debian puts it. */
export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
    timeout: 30_000,
  });
}

export interface ConsoleOptions {
  readonly withoutWebTransport?: boolean;
  readonly context?: BrowserContextOptions;
}

/** The console in a context of its own; errors of the page are collected. */
export class Console {
  readonly page: Page;
  readonly errors: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.setDefaultTimeout(STEP_MS);
    page.on("pageerror", (error) => this.errors.push(error.message));
  }

  static async open(browser: Browser, url: string, options: ConsoleOptions = {}): Promise<Console> {
    const context = await browser.newContext(options.context);
    if (options.withoutWebTransport) {
      await context.addInitScript(() => Reflect.deleteProperty(window, "WebTransport"));
    }
    const page = await context.newPage();
    const view = new Console(page);
    await page.goto(url, { timeout: STEP_MS });
    await page.waitForFunction(
      () => window.__tokenway?.client.status.getSnapshot().state === "live",
    );
    await page.waitForFunction(
      () => document.querySelector("#model option:not([value=''])") !== null,
    );
    return view;
  }

  /** Starts as many at once and waits until each has a channel. */
  async start(many: number): Promise<void> {
    await this.page.fill("#prompt", "");
    await this.page.selectOption("#count", String(many));
    const before = Object.keys(await this.channels()).length;
    await this.page.click("#start-many");
    await this.page.waitForFunction(
      (least) => Object.keys(window.__tokenway?.channels() ?? {}).length >= least,
      before + many,
    );
  }

  channels(): Promise<Record<string, ChannelProbe>> {
    return this.page.evaluate(() => window.__tokenway?.channels() ?? {});
  }

  status(): Promise<ClientSnapshot> {
    return this.page.evaluate(() => {
      const probe = window.__tokenway;
      if (probe === undefined) throw new Error("the console has no way in for tests");
      // Errors do not pass to the test's side.
      return { ...probe.client.status.getSnapshot(), error: undefined };
    });
  }

  drop(): Promise<void> {
    return this.page.click("#drop");
  }

  /** Waits until nothing runs any more. */
  async settled(): Promise<void> {
    await this.page.waitForFunction(
      () =>
        Object.values(window.__tokenway?.channels() ?? {}).every(
          ({ state }) => state === "finished" || state === "failed",
        ),
      undefined,
      { timeout: END_MS, polling: 250 },
    );
  }

  /** Waits until the session is live and has recovered so many times. */
  async recovered(times: number): Promise<void> {
    await this.page.waitForFunction((least) => {
      const status = window.__tokenway?.client.status.getSnapshot();
      return status?.state === "live" && status.recoveries.length >= least;
    }, times);
  }

  async shot(path: string): Promise<void> {
    await this.page.screenshot({ path, timeout: STEP_MS });
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}

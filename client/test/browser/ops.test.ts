// The operator's screen in a browser, while the gateway works: what it shows, who may see it, and how it looks.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gateway } from "./gateway.js";
import { Console, launch } from "./page.js";

const SHOTS = process.env.TOKENWAY_SCREENSHOTS ?? "../target/screenshots";
const STEP_MS = 15_000;

let gateway: Gateway;
let browser: Browser;

beforeAll(async () => {
  gateway = await Gateway.start();
  browser = await launch();
  await mkdir(SHOTS, { recursive: true });
});

afterAll(async () => {
  try {
    await browser?.close();
  } finally {
    await gateway?.stop();
  }
});

/** Starts a generation that belongs to no connection, on a channel of this name. */
async function start(model: string, channel: string): Promise<void> {
  const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      prefer: "respond-async",
      "tokenway-channel": channel,
    },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "Tell me." }] }),
  });
  expect(answer.status).toBe(202);
}

/** Runs with a page of its own, and holds that nothing on it went wrong. */
async function withScreen(
  url: string,
  context: BrowserContextOptions,
  work: (page: Page) => Promise<void>,
): Promise<void> {
  const page = await (await browser.newContext(context)).newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.setDefaultTimeout(STEP_MS);
  try {
    await page.goto(`${url}/console/ops`);
    await work(page);
    expect(errors).toEqual([]);
  } finally {
    await page.context().close();
  }
}

const number = async (page: Page, id: string): Promise<number> =>
  Number((await page.locator(id).textContent())?.replace(/[^\d.]/g, ""));

describe("the operator's screen", () => {
  it("shows what runs, finds it, and replays it event by event", () =>
    withScreen(gateway.url, { viewport: { width: 1440, height: 900 } }, async (page) => {
      await Promise.all([1, 2, 3].map((at) => start("novel", `long-${at}`)));
      await start("chat", "short-1");
      await page.waitForFunction(
        () => Number(document.querySelector("#tile-tokens")?.textContent) > 0,
      );
      expect(await number(page, "#tile-running")).toBeGreaterThanOrEqual(3);
      await page.waitForFunction(() => document.querySelectorAll("#channels tr").length === 4);
      expect(await page.locator("#providers").textContent()).toContain("simulator");
      await page.fill("#search", "short");
      await page.waitForFunction(() => document.querySelectorAll("#channels tr").length === 1);
      await page.locator("#channels tr").click();
      const state = async () => await gateway.channel("short-1");
      await expect
        .poll(async () => (await state()).generations[0]?.state, { timeout: 60_000 })
        .toBe("finished");
      const kept = (await state()).generations[0]?.text ?? "";
      const text = page.locator("#timeline-text");
      await expect.poll(() => text.textContent(), { timeout: STEP_MS }).toBe(kept);
      await page.selectOption("#speed", "16");
      await page.click("#play");
      await page.waitForFunction(
        (whole) => (document.querySelector("#timeline-text")?.textContent?.length ?? 0) < whole,
        kept.length,
      );
      await expect.poll(() => text.textContent(), { timeout: STEP_MS }).toBe(kept);
      await page.waitForFunction(() => document.querySelector("#play")?.textContent === "Replay");
      await page.locator("#config summary").click();
      await expect.poll(() => page.locator("#config-text").textContent()).toContain("simulator");
    }));

  it("is locked where there are keys, until somebody shows the admin key", async () => {
    const keyed = await Gateway.start({
      config: `version: 1
providers: { sim: { dialect: simulator } }
models: { chat: { targets: [{ provider: sim, model: sim-text }] } }
access:
  keys: [{ name: web, key: web-key-0123456789 }]
  token_secret: a-secret-of-thirty-two-bytes-or-more
  admin_key: admin-key-0123456789
`,
    });
    try {
      await withScreen(keyed.url, {}, async (page) => {
        await page.waitForSelector("#lock:not([hidden])");
        await page.fill("#key", "web-key-0123456789");
        await page.click("#lock button");
        await page.waitForFunction(
          () => document.querySelector("#pill-text")?.textContent === "Locked",
        );
        await page.fill("#key", "admin-key-0123456789");
        await page.click("#lock button");
        await page.waitForFunction(
          () => document.querySelector("#pill-text")?.textContent === "Serving",
        );
        expect(await page.locator("#lock").isHidden()).toBe(true);
      });
    } finally {
      await keyed.stop();
    }
  });

  it("looks as it should under load", async () => {
    const view = await Console.open(browser, gateway.url);
    const socket = await Console.open(browser, gateway.url, { withoutWebTransport: true });
    let [loaded, at] = [true, 0];
    const models = ["chat", "reasoner", "tools", "polyglot", "novel", "chat", "slow-start", "cut"];
    const load = (async () => {
      while (loaded) {
        await start(models[at % models.length] ?? "chat", `conversation-${++at}`);
        if (at % 20 === 0) await view.drop();
        if (at % 30 === 0) await Promise.all([view.start(8), socket.start(4)]);
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
    })();
    await view.start(20);
    await socket.start(8);
    try {
      const wide = { width: 1440, height: 900 };
      const views = [
        ["light", { viewport: wide, colorScheme: "light" }, 40_000],
        ["dark", { viewport: wide, colorScheme: "dark" }, 12_000],
        ["narrow", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }, 8_000],
      ] as const;
      for (const [name, context, wait] of views) {
        await withScreen(gateway.url, context, async (page) => {
          await page.waitForTimeout(wait);
          await page.screenshot({ path: join(SHOTS, `ops-${name}.png`) });
          await page.locator("#channels tr").nth(2).click();
          await page.waitForTimeout(1_500);
          await page.screenshot({ path: join(SHOTS, `ops-${name}-timeline.png`) });
          await page.screenshot({ path: join(SHOTS, `ops-${name}-whole.png`), fullPage: true });
          // Nothing is wider than the screen.
          const width = await page.evaluate(() => document.documentElement.scrollWidth);
          expect(width).toBeLessThanOrEqual(context.viewport.width);
        });
      }
    } finally {
      loaded = false;
      await load;
      await Promise.all([view.close(), socket.close()]);
    }
  });
});

// The operator's screen in a browser, while the gateway works: what it shows, who may see it, and how it looks.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gateway } from "./gateway.js";
import { Console, launch } from "./page.js";

const SHOTS = process.env.TOKENWAY_SCREENSHOTS ?? "../target/screenshots";
const STEP_MS = 30_000;
const WITHIN = { timeout: STEP_MS };
/** The demo's models, and one whose first provider is not there. */
const CONFIG = `version: 1
providers:
  simulator: { dialect: simulator }
  nearby: { dialect: openai, base_url: "http://127.0.0.1:1/v1", breaker: { failures: 3, open: 10m } }
models:
  chat: { targets: [{ provider: simulator, model: sim-text }] }
  reasoner: { targets: [{ provider: simulator, model: sim-reasoning }] }
  tools: { targets: [{ provider: simulator, model: sim-tools }] }
  polyglot: { targets: [{ provider: simulator, model: sim-languages }] }
  novel: { targets: [{ provider: simulator, model: sim-long }] }
  slow-start: { targets: [{ provider: simulator, model: sim-slow-start }] }
  cut: { targets: [{ provider: simulator, model: sim-cut }] }
  nearest: { targets: [{ provider: nearby, model: small }, { provider: simulator, model: sim-text }] }
`;

let gateway: Gateway;
let browser: Browser;

beforeAll(async () => {
  gateway = await Gateway.start({ config: CONFIG });
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

/** How high each line of a chart has come, as a share of its height. */
function peaks(page: Page, chart: string): Promise<number[]> {
  return page.evaluate((selector) => {
    const svg = document.querySelector<SVGSVGElement>(`${selector} svg`);
    const lines = [...(svg?.querySelectorAll("path.line") ?? [])];
    const height = svg?.viewBox.baseVal.height ?? Number.NaN;
    return lines.map((line) => {
      const path = line.getAttribute("d") ?? "";
      const ys = [...path.matchAll(/,([\d.]+)/g)].map((found) => Number(found[1]));
      return 1 - Math.min(...ys) / height;
    });
  }, chart);
}

const highest = async (page: Page, chart: string): Promise<number> =>
  Math.max(...(await peaks(page, chart)));

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
      await expect.poll(() => text.textContent(), WITHIN).toBe(kept);
      // Slowly until it was seen, since a busy page may overlook what takes a third of a second.
      await page.selectOption("#speed", "0.25");
      await page.click("#play");
      await page.waitForFunction(
        (whole) => (document.querySelector("#timeline-text")?.textContent?.length ?? 0) < whole,
        kept.length,
      );
      await page.selectOption("#speed", "16");
      await expect.poll(() => text.textContent(), WITHIN).toBe(kept);
      await page.waitForFunction(() => document.querySelector("#play")?.textContent === "Replay");
      await page.locator("#config summary").click();
      await expect.poll(() => page.locator("#config-text").textContent()).toContain("simulator");
    }));

  it("draws how fast tokens come, who watches over what, and a drop that viewers came back from", async () => {
    const view = await Console.open(browser, gateway.url);
    const socket = await Console.open(browser, gateway.url, { withoutWebTransport: true });
    try {
      await withScreen(gateway.url, { viewport: { width: 1440, height: 900 } }, async (page) => {
        // Nobody has come back from anything yet.
        await expect.poll(() => peaks(page, "#chart-sessions"), WITHIN).not.toEqual([]);
        expect(await highest(page, "#chart-resumes")).toBe(0);
        for (const one of [view, socket]) {
          await one.page.selectOption("#model", "novel");
          await one.start(4);
        }
        const legend = (chart: string) => page.locator(`${chart} .legend`).textContent();
        await expect
          .poll(() => legend("#chart-sessions"), WITHIN)
          .toMatch(/webtransport 1websocket 1sse/);
        // The carrier of each session, and how many channels it has: the four that it has begun.
        const listed = async () => {
          const rows = await page.locator("#sessions tr").allInnerTexts();
          return rows.map((row) => row.split("\t").slice(1, 3).join(" ")).sort();
        };
        await expect.poll(listed, WITHIN).toEqual(["websocket 4", "webtransport 4"]);
        for (const one of [view, socket]) {
          await one.drop();
          await one.recovered(1);
        }
        for (const chart of ["tokens", "first", "gap", "sessions", "resumes"]) {
          await expect
            .poll(() => highest(page, `#chart-${chart}`), { message: chart, timeout: STEP_MS })
            .toBeGreaterThan(0);
        }
        // What stands on each other has a line for each; only those that came back where they were are above nothing.
        const [refused, rewound, snapshot, continued] = await peaks(page, "#chart-resumes");
        expect(continued).toBeGreaterThan(0);
        expect([snapshot, rewound, refused]).toEqual([continued, continued, continued]);
        expect(await legend("#chart-first")).toMatch(/p50 [\d.]+ m?s/);
        expect(await legend("#chart-gap")).toMatch(/p99 [\d.]+ m?s/);
        await expect.poll(() => page.locator("#session-count").textContent(), WITHIN).toBe("2");
      });
    } finally {
      await Promise.all([view.close(), socket.close()]);
    }
  });

  it("shows that a provider fails, and the breaker that it has opened", () =>
    withScreen(gateway.url, {}, async (page) => {
      const row = page.locator("#providers tr", { hasText: "nearby" });
      await expect.poll(() => row.innerText(), WITHIN).toContain("not called yet");
      for (let at = 0; at < 3; at++) await start("nearest", `nearest-${at}`);
      const cells = async () => (await row.innerText()).split("\t");
      await expect.poll(cells, WITHIN).toContainEqual(expect.stringMatching(/^open for/));
      expect((await cells()).at(-1)).toBe("connect 3");
      expect(await page.locator("#providers tr", { hasText: "sim-text" }).innerText()).toContain(
        "closed",
      );
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
    for (let at = 0; at < 3; at++) await start("nearest", `fails-${at}`);
    const load = (async () => {
      while (loaded) {
        await start(models[at % models.length] ?? "chat", `conversation-${++at}`);
        if (at % 20 === 0) await view.drop();
        if (at % 30 === 0) await Promise.all([view.start(4), socket.start(2)]);
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    })();
    // What is watched goes on for long: there is always somebody to come back after a drop.
    for (const one of [view, socket]) await one.page.selectOption("#model", "novel");
    await view.start(8);
    await socket.start(4);
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
          await page.locator("#channels tr", { hasText: "reasoner" }).nth(2).click();
          await page.waitForTimeout(1_500);
          await page.locator("#timeline").scrollIntoViewIfNeeded();
          await page.screenshot({ path: join(SHOTS, `ops-${name}-timeline.png`) });
          // What stays at the top of the screen is at the page's.
          await page.evaluate(() => scrollTo(0, 0));
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

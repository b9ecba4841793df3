// The main job, end to end: the real gateway, the real console, a real browser, and the plug pulled.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seeded } from "../support/clock.js";
import { Gateway } from "./gateway.js";
import { Console, type ConsoleOptions, launch } from "./page.js";

const SHOTS = process.env.TOKENWAY_SCREENSHOTS ?? "../target/screenshots";
const seed = Number(process.env.TOKENWAY_SEED ?? Date.now() % 1_000_000);
const random = seeded(seed);

let gateway: Gateway;
let browser: Browser;

beforeAll(async () => {
  console.log(`seed: TOKENWAY_SEED=${seed}`);
  gateway = await Gateway.start();
  browser = await launch();
});

afterAll(async () => {
  try {
    await browser?.close();
  } finally {
    await gateway?.stop();
  }
});

/** Runs with a console of its own, which is closed whatever happens. */
async function withConsole(
  options: ConsoleOptions,
  work: (view: Console) => Promise<void>,
): Promise<void> {
  const view = await Console.open(browser, gateway.url, options);
  try {
    await work(view);
    expect(view.errors).toEqual([]);
  } catch (error) {
    console.log(`the gateway's last words:\n${gateway.log.slice(-4_000)}`);
    throw error;
  } finally {
    await view.close();
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Every text on the page is the log's, byte for byte, and nothing was rendered twice. */
async function expectTrue(view: Console, many: number): Promise<void> {
  await view.settled();
  const channels = Object.entries(await view.channels());
  expect(channels).toHaveLength(many);
  for (const [id, shown] of channels) {
    const kept = await gateway.channel(id);
    expect(Buffer.from(shown.text)).toEqual(Buffer.from(kept.generations[0]?.text ?? ""));
    expect(shown.text.length).toBeGreaterThan(0);
    expect(shown).toMatchObject({
      seq: kept.last_seq,
      epoch: kept.epoch,
      repeated: 0,
      duplicates: 0,
      gaps: 0,
    });
  }
}

async function report(view: Console, what: string): Promise<void> {
  const { recoveries } = await view.status();
  const times = recoveries.map(
    ({ cause, recoveryMs, transport }) => `${cause} ${recoveryMs.toFixed(1)} ms over ${transport}`,
  );
  console.log(`${what}: ${times.join(", ")}`);
}

/** Twenty at once, and three drops at random moments. */
async function twentyWithThreeDrops(options: ConsoleOptions, transport: string): Promise<void> {
  await withConsole(options, async (view) => {
    expect((await view.status()).transport).toBe(transport);
    await view.start(20);
    for (let drop = 1; drop <= 3; drop++) {
      const after = 150 + random() * 900;
      await pause(after);
      const running = Object.values(await view.channels()).filter((one) => one.state === "running");
      console.log(`drop ${drop} after ${after.toFixed(0)} ms, ${running.length} running`);
      expect(running.length).toBeGreaterThan(0);
      await view.drop();
      await view.recovered(drop);
    }
    expect((await view.status()).transport).toBe(transport);
    await expectTrue(view, 20);
    await report(view, `three drops over ${transport}`);
  });
}

describe("the console in a browser", () => {
  it("loses and doubles nothing when the connection is dropped three times", () =>
    twentyWithThreeDrops({}, "webtransport"));

  it("does the same over WebSocket where there is no WebTransport", () =>
    twentyWithThreeDrops({ withoutWebTransport: true }, "websocket"));

  it("goes on after the gateway's WebTransport endpoint was restarted", () =>
    withConsole({}, async (view) => {
      await view.start(20);
      await pause(400 + random() * 600);
      gateway.restartWebTransport();
      await view.recovered(1);
      await expectTrue(view, 20);
      await report(view, "the endpoint restarted");
    }));

  it("follows 200 channels in one session, past the browser's stream limit", () =>
    withConsole({}, async (view) => {
      expect((await view.status()).transport).toBe("webtransport");
      const { seen, atOnce } = await view.page.evaluate(followMany, 200);
      expect(seen).toHaveLength(200);
      expect(atOnce).toBeGreaterThan((await view.status()).welcome?.maxStreams ?? 0);
      for (const one of seen) {
        const kept = await gateway.channel(one.id);
        expect(one.text).toBe(kept.generations[0]?.text);
        expect(one).toMatchObject({ duplicates: 0, gaps: 0, attachments: 1 });
      }
      // One session means one: a drop and a resume in between would hide a stream that never opened.
      expect((await view.status()).recoveries).toEqual([]);
    }));

  it("keeps its generations across a reload and shows one on a second screen", () =>
    withConsole({}, async (view) => {
      await view.start(2);
      await pause(300);
      await view.page.reload();
      await view.page.waitForFunction(
        () => Object.keys(window.__tokenway?.channels() ?? {}).length === 2,
      );
      const [id = ""] = Object.keys(await view.channels());
      const second = await view.page.context().newPage();
      await second.goto(`${gateway.url}/?channel=${id}`, { timeout: 10_000 });
      await expectTrue(view, 2);
      const kept = await gateway.channel(id);
      await second.waitForFunction(
        ([channel, text]) => window.__tokenway?.channels()[channel ?? ""]?.text === text,
        [id, kept.generations[0]?.text] as const,
        { timeout: 10_000 },
      );
    }));

  it("looks as it should", async () => {
    // Beside what else is built, unless somebody wants the pictures elsewhere.
    await mkdir(SHOTS, { recursive: true });
    const wide = { width: 1440, height: 900 };
    const views = [
      ["light", { viewport: wide, colorScheme: "light" }],
      ["dark", { viewport: wide, colorScheme: "dark" }],
      [
        "narrow",
        { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: "dark" },
      ],
    ] as const;
    for (const [name, context] of views) {
      await withConsole({ context }, async (view) => {
        await view.start(8);
        await pause(1_500);
        await view.drop();
        await view.recovered(1);
        await pause(700);
        await view.shot(join(SHOTS, `${name}.png`));
        await view.page.click("#drop5");
        await pause(1_200);
        await view.shot(join(SHOTS, `${name}-mid-drop.png`));
      });
    }
  });
});

/**
 * Runs in the page: starts so many, follows each on the page's own session, and tells what it got, and how many ran at once.
 * They are slow, so that an unoptimised gateway on two cores has the time to answer pings.
 */
async function followMany(many: number) {
  const client = window.__tokenway?.client;
  if (client === undefined) throw new Error("the console has no way in for tests");
  const model = document.querySelector<HTMLSelectElement>("#model")?.value;
  const body = JSON.stringify({
    model,
    stream: true,
    messages: [{ role: "user", content: "Count." }],
    simulator: { tokens: 80, tokens_per_second: 10 },
  });
  const headers = { "content-type": "application/json", prefer: "respond-async" };
  const started = Array.from({ length: many }, async () => {
    const response = await fetch("/v1/chat/completions", { method: "POST", headers, body });
    const { channel } = await response.json();
    return client.subscribe(String(channel));
  });
  const channels = await Promise.all(started);
  const deadline = performance.now() + 120_000;
  const running = () =>
    channels.filter((one) => (one.getSnapshot().generations[0]?.state ?? "running") === "running");
  const atOnce = running().length;
  while (running().length > 0) {
    if (performance.now() > deadline) throw new Error(`${running().length} of ${many} did not end`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  const seen = channels.map((one) => {
    const { duplicates, gaps, attachments } = one.metrics();
    const text = one.getSnapshot().generations[0]?.text.toString() ?? "";
    return { id: one.id, text, duplicates, gaps, attachments };
  });
  return { seen, atOnce };
}

describe("the console of a gateway with keys", () => {
  it("asks for an access key, says when it is another one, and then works like any", async () => {
    const config = `
version: 1
providers: { sim: { dialect: simulator, tokens_per_second: 500 } }
models: { chat: { targets: [{ provider: sim, model: sim-text }] } }
access: { keys: [{ name: web, key: web-key-0123456789 }], token_secret: "a secret of thirty-two bytes, and more" }
`;
    const keyed = await Gateway.start({ config });
    const page = await (await browser.newContext({ colorScheme: "light" })).newPage();
    try {
      await page.goto(keyed.url);
      const [lock, why] = [page.locator("#lock"), page.locator("#lock-why")];
      await lock.waitFor({ state: "visible" });
      expect(await why.textContent()).toContain("wants an access key");
      expect(await page.locator("#alert").isVisible()).toBe(false);
      await page.screenshot({ path: join(SHOTS, "console-locked.png") });
      await page.fill("#key", "another-key-0123456789");
      await Promise.all([page.waitForEvent("load"), page.click("#lock button")]);
      await lock.waitFor({ state: "visible" });
      expect(await why.textContent()).toContain("not one of this gateway's");
      await page.fill("#key", "web-key-0123456789");
      await Promise.all([page.waitForEvent("load"), page.click("#lock button")]);
      await page.locator("#model option[value=chat]").waitFor({ state: "attached" });
      expect(await lock.isVisible()).toBe(false);
      await page.click("#start");
      await page.locator(".card[data-state=finished]").waitFor();
      expect((await page.locator(".card .text").textContent())?.length).toBeGreaterThan(0);
      // And again after a reload, without being asked.
      await page.reload();
      await page.locator(".card[data-state=finished]").waitFor();
      expect(await lock.isVisible()).toBe(false);
    } finally {
      await page.context().close();
      await keyed.stop();
    }
  }, 60_000);
});

// Stock `useChat` over our transport in a real browser against the real gateway, cut at random: connections that end
// without a word, sessions that are dropped, and pages that are loaded anew, in the middle of thoughts, words, sources and
// calls of tools. In the end it shows what a page shows to which nothing happened.

import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Program } from "../apps/program.js";
import { freeTcpPort, Gateway } from "../browser/gateway.js";
import { launch } from "../browser/page.js";
import { seeded } from "../support/clock.js";
import { gathered, type Part, partsOf } from "../support/parts.js";
import { pause } from "./browser/browser.js";
import { Cable } from "./net/cable.js";
import { type Delta, scene, Teller, type Telling } from "./teller.js";

const VERSIONS = ["6", "7"];
const APP = fileURLToPath(new URL("../apps/use-chat", import.meta.url));
/** Of each of the SDK's versions. */
const CUTS = process.env.TOKENWAY_SOAK ? 500 : 25;
const CUTS_IN_AN_ANSWER = 5;
/** From one part to the next: so that a cut falls between two of them, or between the halves of one. */
const BEAT_MS = 4;
const STEP_MS = 30_000;
const CARRIERS = ["webtransport", "websocket", "sse"] as const;

let teller: Teller;
let cable: Cable;
let gateway: Gateway;
let browser: Browser;
let apps: readonly Program[];

beforeAll(async () => {
  const port = await freeTcpPort("127.0.0.1");
  [teller, cable, browser] = await Promise.all([Teller.start(), Cable.to(port), launch()]);
  const env = { TOKENWAY_URL: `http://127.0.0.1:${port}`, MODEL: "told" };
  apps = await Promise.all(
    VERSIONS.map((SDK) => Program.start("server.mjs", APP, { ...env, SDK })),
  );
  const origins = apps.map(({ url }) => url);
  const config = `
version: 1
providers: { told: { dialect: openai, base_url: "${teller.baseUrl}" } }
models: { told: { targets: [{ provider: told }] } }
access: { allowed_origins: ${JSON.stringify(origins)} }
`;
  gateway = await Gateway.start({ config, port });
});

afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
  await Promise.all(apps?.map((app) => app.stop()) ?? []);
  cable?.stop();
  teller?.stop();
});

type Carrier = (typeof CARRIERS)[number];

interface Asked {
  readonly page: Page;
  readonly telling: Telling;
}

/** A page of its own, on which the question of this name was asked, and its answer begun. */
async function ask(url: string, name: string, carrier: Carrier, first: Delta): Promise<Asked> {
  const info = await (await fetch(`${gateway.url}/v1/connect/info`)).json();
  info.websocket = info.websocket.replace(/:\d+/, `:${cable.port}`);
  info.sse = info.sse.replace(/:\d+/, `:${cable.port}`);
  const query = new URLSearchParams({ id: name, say: name, over: carrier, gateway: gateway.url });
  query.set("info", JSON.stringify(info));
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(STEP_MS);
  await page.goto(`${url}/?${query}`);
  const begun = teller.asked(name);
  await page.click("#send");
  const telling = await begun;
  telling.say(first);
  await page.waitForFunction(() =>
    window.chat?.messages.some(({ role, parts }) => role === "assistant" && parts.length > 1),
  );
  return { page, telling };
}

/** What its page shows once the answer has ended. */
async function ended({ page, telling }: Asked): Promise<readonly Part[]> {
  await page.waitForFunction(() => window.chat?.status === "streaming");
  telling.end("tool_calls");
  await page.waitForFunction(() => window.chat?.status === "ready");
  const parts = partsOf((await page.evaluate(() => window.chat?.messages)) ?? []);
  await page.context().close();
  return parts;
}

/** One of what happens to pages; gives its name. */
async function cut(page: Page, carrier: Carrier, random: () => number): Promise<string> {
  const dice = random();
  if (dice < 0.4) {
    await page.reload();
    return "reload";
  }
  if (dice < 0.7) {
    if (carrier === "webtransport") gateway.restartWebTransport();
    else cable.cut();
    return "cut";
  }
  const offMs = random() * 100;
  await page.evaluate((ms) => window.chat?.client.dropConnection(ms), offMs);
  return "drop";
}

describe.each(VERSIONS)("stock useChat of version %s in a browser", (version) => {
  it("shows every part once, after random cuts as without any", async () => {
    const seed = Number(process.env.TOKENWAY_SEED ?? Date.now() % 1_000_000);
    console.log(`TOKENWAY_SEED=${seed}`);
    const { url = "" } = apps[VERSIONS.indexOf(version)] ?? {};
    const counts = new Map<string, number>();
    let cuts = 0;
    for (let trial = seed; cuts < CUTS; trial++) {
      const random = seeded(trial);
      const inTurn = random() < 0.5;
      const carrier = CARRIERS[trial % CARRIERS.length] ?? "webtransport";
      const [begin = [], ...runs] = scene(random, inTurn, CUTS_IN_AN_ANSWER + 1);
      const [first = {}, ...others] = begin;
      const names = [`whole-${version}-${trial}`, `cut-${version}-${trial}`] as const;
      const whole = await ask(url, names[0], carrier, first);
      for (const delta of [...others, ...runs.flat()]) whole.telling.say(delta);
      const expected = await ended(whole);

      const asked = await ask(url, names[1], carrier, first);
      for (const delta of others) asked.telling.say(delta);
      for (const run of runs) {
        const at = Math.floor(random() * run.length);
        let going: Promise<string> | undefined;
        for (const [index, delta] of run.entries()) {
          if (index === at) going = cut(asked.page, carrier, random);
          asked.telling.say(delta);
          await pause(BEAT_MS);
        }
        const kind = `${await going} over ${carrier}`;
        counts.set(kind, (counts.get(kind) ?? 0) + 1);
        cuts += 1;
        // The next one meets a page that is still recovering, or one that follows again.
        await pause(random() * 400);
      }
      const shown = await ended(asked);
      const what = `TOKENWAY_SEED=${trial}`;
      expect(gathered(shown), what).toEqual(gathered(expected));
      // A resume has everything of a kind in one piece, so that only what came kind by kind has the same parts.
      if (inTurn) expect(shown, what).toEqual(expected);
      const said = [...begin, ...runs.flat()].map(({ content }) => content ?? "").join("");
      expect(gathered(shown).text, what).toBe(said);
      const kinds = new Set(shown.map(({ type }) => type));
      const all = ["reasoning", "source-url", "step-start", "text", "tool-add", "tool-find"];
      expect([...kinds].sort(), what).toEqual(all);
    }
    const told = [...counts].sort().map(([kind, count]) => `${count} × ${kind}`);
    console.log(`${cuts} cuts of version ${version}: ${told.join(", ")}`);
  });
});

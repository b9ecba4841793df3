// What people's networks and devices do, done to real browsers: whatever happens nothing is lost and nothing is doubled,
// and the next token is there soon after the path works again. Ends with a table.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ChannelState } from "../browser/gateway.js";
import { type Browser, type LaunchOptions, now, pause, until } from "./browser/browser.js";
import { launchChromium } from "./browser/chromium.js";
import { launchFirefox } from "./browser/firefox.js";
import { type Done, EVENTS, type Event, Front, GAP_MS, killGateway, type Times } from "./events.js";
import { type Carrier, type Engine, Ground, type Viewer } from "./ground.js";
import type { Shown } from "./page/trial.js";
import { Table } from "./table.js";

/** What a page may use, in its order; it begins with the first. */
const CARRIERS: readonly (readonly [Carrier, ...Carrier[]])[] = [
  // As apps have it. Browsers hold back what failed often, so over one of the first two alone no page can come back soon
  // from a long outage: see docs/recovery.md.
  ["webtransport", "websocket", "sse"],
  ["websocket", "sse"],
  ["sse"],
];
/** So many pages of each carrier at once, so many times: 2 tries a cell, and at the full counts 20. */
const PAGES = 2;
const ROUNDS = process.env.TOKENWAY_SOAK ? 10 : 1;
/** So many rounds more for an event of which at least half of the tries were late. */
const MORE = 2;
const GATEWAY_KILLED = "gateway killed and restarted";
const NEXT_MS_MAX = 500;
/** Coming back may take so many times as long as beginning took, where a machine is too slow for that figure. */
const BEGIN_FACTOR = 2;
/** See `slotMs` of the client's backoff. */
const SLOT_FACTOR = 4;
/** As long as a page is watched before something is done to it. */
const QUIET_MS = 2_000;

const table = new Table("recovery", ["next token", "noticed"]);
afterAll(() => table.print());

const BROWSERS: readonly [string, number, (options: LaunchOptions) => Promise<Browser>][] = [
  ["chromium", 92, launchChromium],
  ["firefox", 93, launchFirefox],
];

describe.each(BROWSERS)("%s", (name, namespace, launch) => {
  let ground: Ground;

  beforeAll(async () => {
    ground = await Ground.prepare(namespace, 80, launch);
    console.log(`${name} ${ground.browser.version}`);
  });

  afterAll(() => ground?.leave());

  it.each(Object.keys(EVENTS))("loses and doubles nothing: %s", async (event) => {
    for (let round = 0; round < ROUNDS; round++) await tryEvent(ground, event);
  });

  it("loses and doubles nothing, and goes on with the next answer: gateway killed", async () => {
    for (let round = 0; round < ROUNDS; round++) await tryEvent(ground, GATEWAY_KILLED);
  });

  it("says so where a gateway was killed that kept everything in memory", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      for (const { before, after } of await killed(ground, "memory")) {
        // What was shown stays, whole; nobody pretends that it was finished.
        expect(after).toMatchObject({ error: "channel_not_found", state: "running", repeated: 0 });
        expect(after.text.startsWith(before)).toBe(true);
        expectNumbered(after.text);
      }
    }
  });

  it("ends what ran where a gateway was killed that kept it on disk", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      for (const { before, after, kept } of await killed(ground, "disk")) {
        // What anybody was shown is in the log, and what is shown is the log.
        expect(after.text.startsWith(before)).toBe(true);
        expect(after.text).toBe(kept?.generations[0]?.text);
        expect(kept?.generations[0]?.error?.code).toBe("gateway_lost");
        const { last_seq: seq, epoch } = kept ?? {};
        expect(after).toMatchObject({ seq, epoch, state: "failed", repeated: 0, gaps: 0 });
        expect(after.error).toBeUndefined();
        expectNumbered(after.text);
      }
    }
  });

  it("is back soon", async () => {
    // Two tries are few, and the machine is not alone: where both were late the median of more has to tell.
    for (let more = 0; more < MORE; more++) {
      for (const event of new Set(table.missed(name).map(({ of }) => of[2] as string))) {
        console.log(`${name} was late, so once more: ${event}`);
        await tryEvent(ground, event);
      }
    }
    expect(table.missed(name)).toEqual([]);
  });
});

function tryEvent(ground: Ground, event: string): Promise<void> {
  const carryOut = EVENTS[event];
  if (carryOut !== undefined) return tryFronted(ground, event, carryOut);
  return ground.beside("disk", (beside) =>
    tryOnce(beside, event, (viewers) => killGateway(beside, viewers), { named: true }),
  );
}

/** With proxies before the gateway. */
async function tryFronted(ground: Ground, event: string, carryOut: Event): Promise<void> {
  const front = new Front(ground, await ground.info());
  await front.stand();
  const { reach } = front;
  await tryOnce(ground, event, (viewers) => carryOut(ground, front, viewers), { reach });
  await front.end();
}

/** Fresh pages, of which each has been hurt once: browsers remember. */
async function tryOnce(
  ground: Ground,
  event: string,
  carryOut: (viewers: readonly Viewer[]) => Promise<Done>,
  options: Pick<Parameters<Ground["view"]>[0], "reach" | "named">,
): Promise<void> {
  const { name } = ground.browser;
  const wanted = CARRIERS.flatMap((carriers) => Array.from({ length: PAGES }, () => carriers));
  const viewers: Viewer[] = [];
  // One by one: how long a page takes to begin is what it is held to.
  for (const carriers of wanted) viewers.push(await ground.view({ carriers, ...options }));
  await pause(QUIET_MS);
  const paces = await Promise.all(viewers.map(pace));
  const done = await carryOut(viewers);
  for (const [at, viewer] of viewers.entries()) {
    const what = `${name}, ${viewer.carrier}, ${event}`;
    const { next, noticed, story, over } = await recovery(what, viewer, await done(viewer));
    const allowed = allowedMs(name, event, paces[at] as Pace);
    if (next > NEXT_MS_MAX) {
      console.log(`${what}: ${next.toFixed(0)} ms (at most ${allowed?.toFixed(0)}): ${story}`);
    }
    table.add([name, viewer.carrier, event], [next, noticed], allowed, over);
  }
  ground.provider.finish();
  for (const viewer of viewers) await expectTrue(ground, viewer);
  await Promise.all(viewers.map(({ page }) => page.close()));
}

/** One page whose gateway was killed. */
interface Killed {
  /** What it showed when the gateway was gone. */
  readonly before: string;
  /** What it shows once it has been told. */
  readonly after: Shown;
  /** The log, where there is one. */
  readonly kept: ChannelState | undefined;
}

/** A gateway itself is killed and started again; each page shows before long what became of its generation. */
function killed(ground: Ground, engine: Engine): Promise<Killed[]> {
  return ground.beside(engine, async (beside) => {
    const { gateway, browser, provider } = beside;
    const viewers = await Promise.all(CARRIERS.map((carriers) => beside.view({ carriers })));
    await pause(1_000);
    const began = now();
    await gateway.kill();
    const before = await Promise.all(viewers.map(shown));
    await pause(GAP_MS);
    await gateway.restart();
    const works = now();
    const results: Killed[] = [];
    for (const [at, viewer] of viewers.entries()) {
      const what = `the answer over ${viewer.carrier}`;
      const { after, told } = await until(what, 10_000, async () => {
        const [channel] = await shown(viewer);
        const isTold = channel?.status === "failed" || channel?.state === "failed";
        return isTold ? { after: channel, told: now() } : undefined;
      });
      const kept = engine === "disk" ? gateway.channel(viewer.channels[0] ?? "") : undefined;
      results.push({ before: before[at]?.[0]?.text ?? "nothing", after, kept: await kept });
      const event = `killed with its log ${engine === "disk" ? "on disk" : "in memory"}: told so`;
      table.add([browser.name, viewer.carrier, event], [told - works, works - began], undefined);
    }
    provider.finish();
    await Promise.all(viewers.map(({ page }) => page.close()));
    return results;
  });
}

/** What the machine does to a page to which nothing has been done yet. */
interface Pace {
  /** From the document's beginning to its first token, which takes the same steps as coming back does, and more. */
  readonly beginMs: number;
  /** Of these, from the first attempt to connect until the session stood. */
  readonly connectMs: number;
  /** The longest time without a new token in the last seconds. */
  readonly stallMs: number;
}

/** How soon the next token has to be there. */
function allowedMs(browser: Browser["name"], event: string, pace: Pace): number | undefined {
  // A browser that moves its connection by itself is not ours to hold to anything.
  if (browser === "firefox" && event === "address removed") return undefined;
  const { beginMs, connectMs, stallMs } = pace;
  const soon = Math.max(NEXT_MS_MAX, BEGIN_FACTOR * beginMs + stallMs);
  // Where packets only vanish an attempt is kept for four times as long as the last one took, and the next one is it.
  return event === "silent for 10 s" ? soon + SLOT_FACTOR * connectMs : soon;
}

function pace({ page }: Viewer): Promise<Pace> {
  return page.evaluate((since) => {
    const diary = window.trial?.diary();
    const at = diary?.renders.map(([time]) => time) ?? [];
    const gaps = at.map((time, index) => time - (at[index - 1] ?? time));
    const [begun, live] = ["connecting", "live"].map(
      (wanted) => diary?.states.find(([, state]) => state === wanted)?.[0] ?? 0,
    );
    return {
      beginMs: (at[0] ?? 0) - (diary?.began ?? 0),
      connectMs: (live ?? 0) - (begun ?? 0),
      stallMs: Math.max(0, ...gaps.filter((_, index) => (at[index] ?? 0) > since)),
    };
  }, now() - QUIET_MS);
}

/** How long after the path worked a new token was shown, and after which time the loss was noticed, if it was one. */
function recovery(what: string, { page }: Viewer, times: Times) {
  // Infinity is not JSON.
  const since = Math.min(times.since, Number.MAX_SAFE_INTEGER);
  const plain = { since, works: times.works, after: times.after ?? 0 };
  return until(`the next token (${what})`, 60_000, () =>
    page.evaluate(({ since, works, after }) => {
      const diary = window.trial?.diary();
      const next = diary?.renders.find(([at, seq]) => at >= works && seq > after)?.[0];
      if (diary === undefined || next === undefined || diary.transport === undefined) {
        return undefined;
      }
      const gone = diary.states.find(([at, state]) => at > since && at < next && state !== "live");
      const all = [...diary.states, ...diary.ends].sort(([one], [other]) => one - other);
      const later = all.filter(([at]) => at > Math.min(since, works));
      const story = later.map(([at, state]) => `${state} ${(at - works).toFixed(0)}`).join(", ");
      const noticed = gone === undefined ? undefined : gone[0] - since;
      return { next: next - works, noticed, story, over: diary.transport };
    }, plain),
  );
}

function shown({ page }: Viewer): Promise<readonly Shown[]> {
  return page.evaluate(() => window.trial?.diary().channels ?? [], null);
}

/** What is shown is what the log holds, byte for byte, once. */
async function expectTrue(ground: Ground, viewer: Viewer): Promise<void> {
  const channels = await until(`the end over ${viewer.carrier}`, 20_000, async () => {
    const all = await shown(viewer);
    return all.every(({ state }) => state === "finished") ? all : undefined;
  });
  expect(channels).toHaveLength(viewer.channels.length);
  for (const [at, one] of channels.entries()) {
    const kept = await ground.gateway.channel(viewer.channels[at] ?? "");
    const texts = kept.generations.map(({ text }) => text);
    expect(Buffer.from(one.text)).toEqual(Buffer.from(texts.join("")));
    expect(one).toMatchObject({ seq: kept.last_seq, epoch: kept.epoch, repeated: 0, gaps: 0 });
    expect(one.error).toBeUndefined();
    for (const [of, text] of texts.entries()) expectNumbered(text, of === 0 ? 50 : 1);
  }
}

/** The provider numbered its tokens: they are all there, once and in order. */
function expectNumbered(text: string, least = 50): void {
  const numbers = text
    .split(" ")
    .filter((token) => token !== "")
    .map((token) => Number(token.split("@")[0]));
  expect(numbers.length).toBeGreaterThanOrEqual(least);
  expect(numbers).toEqual(numbers.map((_, index) => index));
}

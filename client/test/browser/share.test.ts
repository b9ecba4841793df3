// Real tabs of a real browser on one connection to the real gateway, and what becomes of them when the tab that holds
// it is closed, killed, frozen, hung or left.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Client } from "../../src/index.js";
import { bundle } from "./bundle.js";
import { Gateway } from "./gateway.js";
import { TabbedBrowser } from "./tabs.js";

const STEP_MS = 30_000;
/** Ten seconds of talk: it goes on while the tabs are dealt with, also on a machine that is busy. */
const TOKENS = 800;

/** What the page under test does: follows channels and notes when each run of events came. */
interface Tab {
  readonly client: Client;
  follow(channel: string): void;
  text(channel: string): string;
  state(channel: string): string;
  /** When events came, in milliseconds since 1970. */
  readonly times: number[];
  readonly seqs: Record<string, number[]>;
}

declare global {
  interface Window {
    tab?: Tab;
  }
}

const PAGE = `
import { connect } from "/tab/index.js";
const client = connect({ url: location.origin });
const times = [];
const seqs = {};
const channels = {};
window.tab = {
  client, times, seqs,
  async follow(id) {
    const channel = channels[id] = client.subscribe(id);
    const seen = seqs[id] = [];
    for await (const batch of channel) {
      if (batch.kind !== "events") continue;
      times.push(performance.timeOrigin + performance.now());
      batch.events.forEach((_, at) => seen.push(batch.firstSeq + at));
    }
  },
  state: (id) => channels[id].getSnapshot().generations[0]?.state ?? "",
  text: (id) => channels[id].getSnapshot().generations[0]?.text.toString() ?? "",
};
`;

let gateway: Gateway;
let browser: TabbedBrowser;
let model: string;

beforeAll(async () => {
  [gateway, browser] = await Promise.all([Gateway.start(), TabbedBrowser.start()]);
  const files = await bundle("tab");
  await browser.context.route(`${gateway.url}/tab/*`, (route) => {
    const body = files.get(route.request().url().split("/tab/")[1] ?? "") ?? "";
    return route.fulfill({ contentType: "text/javascript", body });
  });
  const models = (await (await fetch(`${gateway.url}/v1/models`)).json()) as {
    data: { id: string }[];
  };
  model = models.data[0]?.id ?? "";
});

afterAll(async () => {
  try {
    await browser?.stop();
  } finally {
    await gateway?.stop();
  }
});

beforeEach(async () => {
  await until(async () => (await gateway.sessions()).now === 0, "no session");
});

/** The last one is seen, the others are hidden. */
async function withTabs(
  many: number,
  work: (tabs: Page[]) => Promise<void>,
  prepare?: () => void,
): Promise<void> {
  const tabs: Page[] = [];
  try {
    for (let at = 0; at < many; at++) tabs.push(await openTab(prepare));
    await work(tabs);
  } catch (error) {
    console.log(`the gateway's last words:\n${gateway.log.slice(-3_000)}`);
    throw error;
  } finally {
    // One that was killed does not answer.
    await Promise.all(tabs.map((page) => page.close().catch(() => undefined)));
  }
}

async function openTab(prepare?: () => void): Promise<Page> {
  const page = await browser.context.newPage();
  page.setDefaultTimeout(STEP_MS);
  if (prepare) await page.addInitScript(prepare);
  // A page of the gateway's own: one that is only pretended may not talk to a local gateway.
  await page.goto(`${gateway.url}/v1/connect/info`);
  await page.addScriptTag({ type: "module", content: PAGE });
  await live(page);
  return page;
}

/** Hidden pages have no animation frames to look at each. */
const SLOWLY = { polling: 100, timeout: STEP_MS };

const live = (page: Page): Promise<unknown> =>
  page.waitForFunction(
    () => window.tab?.client.status.getSnapshot().state === "live",
    undefined,
    SLOWLY,
  );

const status = (page: Page) =>
  page.evaluate(() => {
    const { shared, transport, welcome, state, error } =
      window.tab?.client.status.getSnapshot() ?? {};
    return { shared, transport, session: welcome?.session, state, code: error?.code };
  });

async function until(done: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + STEP_MS;
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(`${what}: not after ${STEP_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Begins a generation that nobody has to read. */
async function begin(tokens: number): Promise<string> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", prefer: "respond-async" },
    body: JSON.stringify({
      model,
      stream: true,
      messages: [{ role: "user", content: "Go on." }],
      simulator: { tokens, tokens_per_second: 80 },
    }),
  });
  const { channel } = (await response.json()) as { channel: string };
  return channel;
}

/** Every tab follows so many generations, and all of them have begun to come. */
async function followAll(tabs: Page[], many: number, tokens = TOKENS): Promise<string[]> {
  const channels = await Promise.all(Array.from({ length: many }, () => begin(tokens)));
  for (const page of tabs) {
    await page.evaluate((ids) => {
      for (const id of ids) window.tab?.follow(id);
    }, channels);
  }
  for (const page of tabs) {
    await page.waitForFunction(() => (window.tab?.times.length ?? 0) > 10, undefined, SLOWLY);
  }
  return channels;
}

/** What every tab has in the end is the log's, byte for byte, and each event came once and in its turn. */
async function expectTrue(tabs: Page[], channels: string[]): Promise<void> {
  for (const id of channels) {
    for (const page of tabs) {
      await page.waitForFunction(
        (channel) => ["finished", "failed"].includes(window.tab?.state(channel) ?? ""),
        id,
        { timeout: 120_000, polling: 200 },
      );
    }
    const kept = await gateway.channel(id);
    expect(kept.generations[0]?.text.length).toBeGreaterThan(0);
    for (const page of tabs) {
      const [text, seqs] = await page.evaluate(
        (channel) => [window.tab?.text(channel), window.tab?.seqs[channel]] as const,
        id,
      );
      expect(Buffer.from(text ?? "")).toEqual(Buffer.from(kept.generations[0]?.text ?? ""));
      expect(seqs).toEqual(Array.from({ length: kept.last_seq }, (_, at) => at + 1));
    }
  }
}

/** From `at` to the first events that came after the tab's longest pause since. */
async function pause(page: Page, at: number): Promise<string> {
  const times = await page.evaluate((since) => window.tab?.times.filter((t) => t > since), at);
  let [longest, back] = [0, 0];
  let before = at;
  for (const time of times ?? []) {
    if (time - before > longest) [longest, back] = [time - before, time];
    before = time;
  }
  return `${longest.toFixed(0)} ms without events, until ${(back - at).toFixed(0)} ms after`;
}

describe("tabs in a browser", () => {
  it("share one session over WebTransport, and the next one leads when the first is closed", () =>
    withTabs(2, async ([first, second]) => {
      if (!first || !second) throw new Error("no tabs");
      const [one, two] = [await status(first), await status(second)];
      expect(one).toMatchObject({ shared: "leads", transport: "webtransport" });
      expect(two).toMatchObject({ shared: "follows", transport: "webtransport" });
      expect(two.session).toBe(one.session);
      expect((await gateway.sessions()).now).toBe(1);
      const channels = await followAll([first, second], 3);
      const { ever } = await gateway.sessions();
      const at = Date.now();
      await first.close();
      await second.waitForFunction(
        (old) => window.tab?.client.status.getSnapshot().welcome?.session !== old,
        one.session,
        SLOWLY,
      );
      await live(second);
      expect(await status(second)).toMatchObject({ shared: "leads" });
      await expectTrue([second], channels);
      expect(await gateway.sessions()).toEqual({ now: 1, ever: ever + 1 });
      console.log(`the leader closed: ${await pause(second, at)}`);
    }));

  it.each([
    ["is killed", crash],
    ["is frozen", freeze],
    ["hangs", hang],
    ["is left for another page", leave],
  ])("go on as one session when the one that leads %s, with nothing lost or doubled", (what, go) =>
    withTabs(3, async ([first, ...others]) => {
      if (!first) throw new Error("no tabs");
      expect((await gateway.sessions()).now).toBe(1);
      const channels = await followAll([first, ...others], 3);
      const at = Date.now();
      const back = await go(first);
      await expectTrue(others, channels);
      const states = await Promise.all(others.map(status));
      expect(states.map(({ shared }) => shared).sort()).toEqual(["follows", "leads"]);
      expect(new Set(states.map(({ session }) => session)).size).toBe(1);
      for (const [n, page] of others.entries()) {
        const which = n === others.length - 1 ? "the tab that is seen" : "a hidden one";
        console.log(`the leader ${what}, ${which}: ${await pause(page, at)}`);
      }
      if (back) {
        await back();
        // A hidden page's stores lag behind by up to a second.
        await first.waitForFunction(
          () => window.tab?.client.status.getSnapshot().shared === "follows",
          undefined,
          SLOWLY,
        );
        await expectTrue([first], channels);
      }
      await until(async () => (await gateway.sessions()).now === 1, "one session");
    }));

  it("cancel for all of them, and are all signed out by one", () =>
    withTabs(3, async (tabs) => {
      const [first, second, third] = tabs;
      if (!first || !second || !third) throw new Error("no tabs");
      const [id = ""] = await followAll(tabs, 1, 100 * TOKENS);
      await second.evaluate((channel) => window.tab?.client.cancel(channel), id);
      await expectTrue(tabs, [id]);
      const kept = await gateway.channel(id);
      expect(kept.generations[0]?.state).toBe("failed");
      await third.evaluate(() => window.tab?.client.signOut());
      for (const page of [first, second]) {
        await page.waitForFunction(
          () => window.tab?.client.status.getSnapshot().state === "closed",
          undefined,
          SLOWLY,
        );
        expect((await status(page)).code).toBe("signed_out");
      }
      await until(async () => (await gateway.sessions()).now === 0, "no session");
    }));

  it("need no tab that leads where the browser has no locks: each has its own session", () =>
    withTabs(
      2,
      async (tabs) => {
        expect((await gateway.sessions()).now).toBe(2);
        const channels = await followAll(tabs, 1);
        await expectTrue(tabs, channels);
        for (const page of tabs) expect((await status(page)).shared).toBeUndefined();
      },
      () => Object.defineProperty(Navigator.prototype, "locks", { value: undefined }),
    ));
});

/** Kills the tab's process. */
async function crash(page: Page): Promise<undefined> {
  const session = await page.context().newCDPSession(page);
  // It does not live to answer.
  session.send("Page.crash").catch(() => undefined);
}

/** As the browser does with tabs in the background. */
async function freeze(page: Page): Promise<() => Promise<void>> {
  const session = await page.context().newCDPSession(page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  return async () => {
    await session.send("Page.setWebLifecycleState", { state: "active" });
  };
}

/** A script that does not end for a while. */
async function hang(page: Page): Promise<() => Promise<void>> {
  const over = page.evaluate(() => {
    const end = performance.now() + 6_000;
    while (performance.now() < end);
  });
  return () => over;
}

/** The reader follows a link. */
async function leave(page: Page): Promise<undefined> {
  await page.goto("about:blank");
}

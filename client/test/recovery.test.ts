// What a page goes through, in time that is turned by hand: frozen, put away, offline, on another network, with tokens
// that expire.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Channel, ConnectOptions } from "../src/index.js";
import { ManualClock } from "./support/clock.js";
import { world as turned } from "./support/world.js";

/** A page, as far as the client looks at it. */
class Page extends EventTarget {
  readonly document = Object.assign(new EventTarget(), { hidden: false });
  readonly connection = Object.assign(new EventTarget(), { type: "wifi" });
  readonly navigator = { onLine: true, connection: this.connection };

  tell(target: EventTarget, name: string): void {
    target.dispatchEvent(new Event(name));
  }
}

let page: Page;

beforeEach(() => {
  page = new Page();
  vi.stubGlobal("document", page.document);
  vi.stubGlobal("navigator", page.navigator);
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
});

afterEach(() => vi.unstubAllGlobals());

async function world(tokens: NonNullable<ConnectOptions["tokens"]> = [], clock?: ManualClock) {
  const made = turned(1, clock, { tokens });
  const state = () => made.client.status.getSnapshot().state;
  // What watches the page is loaded meanwhile.
  await vi.dynamicImportSettled();
  return { ...made, state };
}

const textOf = (channel: Channel): string =>
  channel.getSnapshot().generations[0]?.text.toString() ?? "";

describe("a page", () => {
  it.each([
    ["frozen", () => page.document, "freeze", "resume"],
    ["put into the back/forward cache", () => page, "pagehide", "pageshow"],
  ] as const)("that is %s lets go, and is back at once with nothing lost", async (_, target, away, back) => {
    const { gateway, client, clock, run, state } = await world();
    const log = gateway.channel("c");
    log.say("before ");
    const channel = client.subscribe("c");
    run(200);
    expect(state()).toBe("live");
    page.tell(target(), away);
    run(32);
    expect(state()).toBe("asleep");
    expect(gateway.sessions).toBe(0);
    log.say("meanwhile ");
    clock.sleep(30_000);
    page.tell(target(), back);
    log.say("after");
    run(100);
    expect(textOf(channel)).toBe("before meanwhile after");
    expect(channel.metrics()).toMatchObject({ duplicates: 0, gaps: 0, attachments: 2 });
    const [recovery] = client.status.getSnapshot().recoveries;
    expect(recovery).toMatchObject({ cause: "slept" });
    expect(recovery?.offMs).toBeGreaterThanOrEqual(30_000);
    expect(recovery?.recoveryMs).toBeLessThan(100);
  });

  it("that is offline does not hurry, and is back within a round trip of being online", async () => {
    const { gateway, network, client, run, state } = await world();
    const log = gateway.channel("c");
    const channel = client.subscribe("c");
    run(200);
    const hellos = gateway.hellos.length;
    network.weather.refusing = true;
    page.navigator.onLine = false;
    page.tell(page, "offline");
    network.cut();
    const before = gateway.dials;
    run(10_000);
    expect(gateway.dials - before).toBeLessThan(6);
    expect(state()).toBe("waiting");
    log.say("x");
    network.weather.refusing = false;
    page.navigator.onLine = true;
    page.tell(page, "online");
    run(64);
    expect(textOf(channel)).toBe("x");
    expect(gateway.hellos.length).toBe(hellos + 1);
  });

  it("that is told of being offline pings, and finds a dead path sooner than the next heartbeat", async () => {
    const { gateway, network, client, run, state } = await world();
    gateway.channel("c");
    client.subscribe("c");
    run(1_000);
    network.weather.silent = true;
    page.navigator.onLine = false;
    page.tell(page, "offline");
    run(1_100);
    expect(state()).not.toBe("live");
  });

  it("on another kind of network opens a second connection before it leaves the first", async () => {
    const { gateway, client, run, state } = await world();
    const log = gateway.channel("c");
    const channel = client.subscribe("c");
    run(200);
    page.tell(page.connection, "change");
    run(100);
    // Only an estimate of its speed has changed.
    expect(gateway.hellos).toHaveLength(1);
    page.connection.type = "cellular";
    page.tell(page.connection, "change");
    const states = new Set<string>();
    for (let at = 0; at < 10; at++) {
      log.say(`${at} `);
      run(16);
      states.add(state());
    }
    run(100);
    expect([...states]).toEqual(["live"]);
    expect(gateway.hellos).toHaveLength(2);
    expect(textOf(channel)).toBe(log.text());
    expect(channel.metrics()).toMatchObject({ duplicates: 0, gaps: 0 });
  });

  it("that is hidden is not judged, and pings first when it is seen", async () => {
    const { gateway, network, client, run, state } = await world();
    gateway.channel("c");
    client.subscribe("c");
    run(500);
    page.document.hidden = true;
    page.tell(page.document, "visibilitychange");
    network.weather.silent = true;
    run(5_000);
    expect(state()).toBe("live");
    page.document.hidden = false;
    page.tell(page.document, "visibilitychange");
    run(900);
    expect(state()).toBe("live");
    run(300);
    expect(state()).toBe("connecting");
  });

  it("is left alone once the client is closed", async () => {
    const { client, run, state } = await world();
    run(100);
    client.close();
    page.tell(page, "pagehide");
    page.tell(page, "pageshow");
    run(100);
    expect(state()).toBe("closed");
  });
});

/** A token that expires after so many seconds. */
const jwt = (name: string, exp: number): string =>
  `e30.${Buffer.from(JSON.stringify({ name, exp })).toString("base64url")}.c2ln`;

const settle = async (): Promise<void> => {
  // Also what has to be loaded first.
  await import("../src/session/renewal.js");
  for (let at = 0; at < 20; at++) await Promise.resolve();
};

/** A client that was shown "one ", and then its tokens were refused; the log has said "one two" meanwhile. */
async function refused(tokens: Exclude<ConnectOptions["tokens"], readonly string[] | undefined>) {
  const one = await world(tokens);
  const log = one.gateway.channel("c");
  await settle();
  const channel = one.client.subscribe("c");
  log.say("one ");
  one.run(100);
  one.gateway.forbid("c");
  one.run(50);
  await settle();
  log.say("two");
  one.run(100);
  return { ...one, log, channel };
}
describe("tokens", () => {
  it("are fetched before hello, and shown to the running session before they expire", async () => {
    let count = 0;
    const clock = new ManualClock();
    const tokens = async () => [jwt(`${++count}`, clock.wall() / 1_000 + 120)];
    const { gateway, network, run, state } = await world(tokens, clock);
    await settle();
    run(100);
    expect(state()).toBe("live");
    expect(gateway.tokens).toHaveLength(1);
    clock.advance(100_000);
    await settle();
    run(50);
    expect(gateway.hellos).toHaveLength(1);
    expect(gateway.tokens).toHaveLength(2);
    network.cut();
    await settle();
    run(600);
    expect(gateway.tokens.at(-1)).toBe(gateway.tokens[1]);
  });

  it("that come late open the channels that were closed for want of them", async () => {
    let count = 0;
    const { channel, run } = await refused(async () => {
      if (++count === 2) throw new Error("503");
      return [`token ${count}`];
    });
    expect(textOf(channel)).toBe("one ");
    for (let at = 0; at < 40; at++) {
      run(100);
      await settle();
    }
    expect(count).toBe(3);
    expect(textOf(channel)).toBe("one two");
  });

  it("that hold need no fetch for the way back, though one hangs", async () => {
    let count = 0;
    const clock = new ManualClock();
    const seconds = Math.floor(clock.wall() / 1_000);
    const { client, network, run, state } = await world(() => {
      if (++count > 1) return new Promise(() => undefined);
      return [jwt("only", seconds + 100)];
    }, clock);
    await settle();
    run(100);
    // A fifth of their time is left: others are being fetched.
    run(81_000);
    expect(count).toBe(2);
    network.cut();
    for (let at = 0; at < 10; at++) {
      run(50);
      await settle();
    }
    expect(state()).toBe("live");
    expect(client.status.getSnapshot().recoveries.at(-1)?.recoveryMs).toBeLessThan(500);
  });

  it("that the gateway does not take any more are fetched again, and the channel goes on", async () => {
    let count = 0;
    const { gateway, client, clock, log, channel, run } = await refused(() => [`token ${++count}`]);
    expect(count).toBe(2);
    expect(gateway.tokens).toEqual(["token 1", "token 2"]);
    expect(textOf(channel)).toBe("one two");
    gateway.closing("forbidden", false);
    clock.advance(20);
    await settle();
    run(20_000);
    await settle();
    run(600);
    log.say("!");
    run(100);
    expect(textOf(channel)).toBe("one two!");
    // Not for ever.
    for (let at = 0; at < 5; at++) {
      gateway.closing("forbidden", false);
      run(50);
      await settle();
      run(500);
    }
    expect(client.status.getSnapshot()).toMatchObject({
      state: "closed",
      error: { name: "AccessError", code: "forbidden" },
    });
  });

  it("that cannot be fetched keep the client trying, and it is live once they can", async () => {
    let up = false;
    const { run, state } = await world(() => {
      if (!up) throw new Error("the app's server is down");
      return ["token"];
    });
    for (let at = 0; at < 20; at++) {
      run(100);
      await settle();
    }
    expect(state()).not.toBe("live");
    up = true;
    for (let at = 0; at < 60; at++) {
      run(100);
      await settle();
    }
    expect(state()).toBe("live");
  });
});

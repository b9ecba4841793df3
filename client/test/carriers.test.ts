// When a carrier is left alone because of what the page's browser does to it.

import { afterEach, describe, expect, it, vi } from "vitest";
import type { ConnectInfo } from "../src/index.js";
import { PATIENCE_MS } from "../src/session/backoff.js";
import { FRUITLESS_MAX, PENDING_MAX, RARELY_MS } from "../src/transport/throttle.js";

const INFO: ConnectInfo = {
  webtransport: { url: "https://gateway.example:4433/v1/connect", certificate_hashes: [] },
  websocket: null,
  sse: null,
  protocol: "tokenway.v1",
};
const PLAN = { first: undefined, last: [], othersAfterMs: undefined };
const ignore = (): void => undefined;
const SINK = { opened: ignore, message: ignore, frame: ignore, closed: ignore };
const SLOT_MS = 300;

/** A session on a network where nothing answers. */
class Silent {
  static count = 0;
  readonly ready = new Promise<void>(ignore);
  readonly closed = new Promise<void>(ignore);

  constructor() {
    Silent.count += 1;
  }

  close(): void {}
}

/** Dials again and again until it is weary of it; gives how often. */
async function dialUntilWeary(userAgentData: object | undefined) {
  vi.stubGlobal("WebTransport", Silent);
  vi.stubGlobal("navigator", { userAgentData });
  vi.resetModules();
  const { webtransport } = await import("../src/transport/carriers.js");
  const clock = { now: 1_000_000 };
  vi.spyOn(performance, "now").mockImplementation(() => clock.now);
  /** Whether it reached the browser. */
  const dial = async (): Promise<boolean> => {
    const before = Silent.count;
    const closed = vi.fn();
    const connection = webtransport.dial(INFO, { ...SINK, closed }, PLAN);
    // Its code is loaded first.
    await vi.waitUntil(() => Silent.count + closed.mock.calls.length > before, {
      timeout: 20_000,
      interval: 1,
    });
    connection.close();
    return Silent.count > before;
  };
  let times = 0;
  for (; !webtransport.isWeary?.(); times++) {
    expect(await dial()).toBe(true);
    clock.now += SLOT_MS;
  }
  return { webtransport, clock, dial, times };
}

describe("WebTransport", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  it("gives way before Chromium holds attempts back for longer than they last, and not for ever", async () => {
    const { webtransport, clock, dial, times } = await dialUntilWeary({ brands: [] });
    expect(times).toBe(FRUITLESS_MAX);
    // 10 ms, doubled each time: the next one would be held back for about as long as an attempt lasts.
    expect(10 * 2 ** times).toBeGreaterThanOrEqual(SLOT_MS);
    // Where there is nothing else it is still usable, and dialled rarely enough to get through.
    expect(webtransport.lack(INFO)).toBeUndefined();
    expect(await dial()).toBe(false);
    for (let again = 0; again < 20; again++) {
      clock.now += RARELY_MS;
      expect([await dial(), await dial()]).toEqual([true, false]);
    }
    expect(10 * 2 ** (300_000 / RARELY_MS)).toBeLessThan(PATIENCE_MS);
    clock.now += 300_000;
    expect(webtransport.isWeary?.()).toBeFalsy();
  });

  it("is dialled more often in browsers that hold nothing back", async () => {
    const { times } = await dialUntilWeary(undefined);
    expect(times).toBe(PENDING_MAX);
  });
});

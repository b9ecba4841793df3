// What a page remembers of the carriers on its network: as kept and read back, and as the next page's first dial shows it.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ManualClock, seeded } from "../../test/support/clock.js";
import { FakeGateway } from "../../test/support/gateway.js";
import { connect } from "../index.js";
import { MemoryNetwork } from "../transport/memory.js";
import type { Transport, TransportKind } from "../transport/transport.js";
import { recall, remember } from "./memory.js";
import { HEAD_START_MS } from "./model.js";

const HERE = "https://gateway.example";
const KEPT_MS = 300_000;
const NOON = 1_800_000_000_000;
const learnt = { winner: "websocket", strikes: { webtransport: 2, websocket: 0 } } as const;

let storage: Record<string, string>;

beforeEach(() => {
  storage = {};
  vi.stubGlobal("sessionStorage", storage);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe("the memory of a tab", () => {
  it("gives back what was kept, of each gateway its own", () => {
    remember(HERE, learnt, NOON);
    expect(recall(HERE, NOON)).toEqual(learnt);
    expect(recall(HERE, NOON + KEPT_MS - 1)).toEqual(learnt);
    expect(recall("https://other.example", NOON)).toEqual({});
    expect(Object.keys(storage)).toEqual([`tokenway:${HERE}`]);
  });

  it("keeps the carriers, and nothing else of what the session knows", () => {
    const more = { ...learnt, tokens: ["secret"], learnedMs: 8 };
    remember(HERE, more, NOON);
    expect(recall(HERE, NOON)).toEqual(learnt);
    expect(JSON.stringify(storage)).not.toContain("secret");
  });

  it("forgets after five minutes: by then it may be another network", () => {
    remember(HERE, learnt, NOON);
    expect(recall(HERE, NOON + KEPT_MS)).toEqual({});
    remember(HERE, learnt, NOON + KEPT_MS);
    expect(recall(HERE, NOON + KEPT_MS)).toEqual(learnt);
  });

  it.each([
    ["nothing", undefined],
    ["no JSON", "{"],
    ["another shape", '"text"'],
    ["a time alone", `[${NOON}]`],
    ["null", "null"],
  ])("makes nothing of %s in the storage", (_, kept) => {
    if (kept !== undefined) storage[`tokenway:${HERE}`] = kept;
    expect({ ...recall(HERE, NOON) }).toEqual({});
  });

  it("does without a storage that throws, and without one at all", () => {
    const refuse = (): never => {
      throw new DOMException("denied", "SecurityError");
    };
    for (const none of [new Proxy({}, { get: refuse, set: refuse }), undefined]) {
      vi.stubGlobal("sessionStorage", none);
      expect(() => remember(HERE, learnt, NOON)).not.toThrow();
      expect(recall(HERE, NOON)).toEqual({});
    }
    // As a page in a sandbox has it: the name itself throws.
    Object.defineProperty(globalThis, "sessionStorage", { configurable: true, get: refuse });
    expect(() => remember(HERE, learnt, NOON)).not.toThrow();
    expect(recall(HERE, NOON)).toEqual({});
  });
});

describe("a page that is loaded again", () => {
  let clock: ManualClock;
  let connection: EventTarget & { type: string };

  beforeEach(() => {
    clock = new ManualClock();
    connection = Object.assign(new EventTarget(), { type: "wifi" });
    vi.stubGlobal("navigator", { onLine: true, connection });
  });

  /** Where nothing ever comes of it. */
  const silent: Transport["dial"] = () => ({
    kind: "webtransport",
    send: () => undefined,
    close: () => undefined,
  });

  /** A page on a network that lets no WebTransport through; what it dials, and when. */
  async function page() {
    const began = clock.now();
    const gateway = new FakeGateway(seeded(1));
    const network = new MemoryNetwork(clock, seeded(1), gateway.accept);
    const dials: [TransportKind, number][] = [];
    const as = (kind: TransportKind, dial: Transport["dial"]): Transport => ({
      kind,
      lack: () => undefined,
      dial: (...args) => {
        dials.push([kind, clock.now() - began]);
        const { send, close } = dial(...args);
        return { kind, send, close };
      },
    });
    const client = connect({
      info: { webtransport: null, websocket: HERE, sse: null, protocol: "tokenway.v1" },
      transports: [as("webtransport", silent), as("websocket", network.transport.dial)],
      clock,
      random: seeded(2),
      schedule: (work) => void clock.after(16, work),
    });
    // The watch of the page is loaded beside.
    await import("./page.js");
    const run = async (ms: number): Promise<void> => {
      for (let at = 0; at < ms; at += 16) {
        gateway.tick();
        clock.advance(16);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await run(2 * HEAD_START_MS);
    expect(client.status.getSnapshot().transport).toBe("websocket");
    return { client, dials, run };
  }

  const both = [
    ["webtransport", 0],
    ["websocket", expect.any(Number)],
  ];

  it("dials at once what won before, and not first what came to nothing", async () => {
    const first = await page();
    expect(first.dials).toEqual(both);
    expect(first.dials[1]?.[1]).toBeGreaterThanOrEqual(HEAD_START_MS);
    first.client.close();
    const second = await page();
    expect(second.dials[0]).toEqual(["websocket", 0]);
    second.client.close();
  });

  it("tries all of them anew on another network", async () => {
    const first = await page();
    connection.type = "cellular";
    connection.dispatchEvent(new Event("change"));
    // What was known is forgotten before anything on the new network is found out.
    first.client.close();
    const second = await page();
    expect(second.dials).toEqual(both);
    second.client.close();
  });

  it("tries all of them anew after five minutes", async () => {
    const first = await page();
    first.client.close();
    clock.advance(KEPT_MS);
    const second = await page();
    expect(second.dials).toEqual(both);
    second.client.close();
  });

  it("finds out by itself where it has no storage", async () => {
    vi.stubGlobal("sessionStorage", undefined);
    for (let times = 0; times < 2; times++) {
      const one = await page();
      expect(one.dials).toEqual(both);
      one.client.close();
    }
  });
});

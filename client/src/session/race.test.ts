import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/clock.js";
import type { ConnectInfo, Sink, Transport, TransportKind } from "../transport/transport.js";
import { race } from "./race.js";

const INFO: ConnectInfo = { webtransport: null, websocket: null, sse: null, protocol: "" };

/** Two carriers that open or fail after so many milliseconds, or never say anything. */
function run(
  fate: Partial<Record<TransportKind, number>>,
  plan: Parameters<typeof race>[2],
  weary: readonly TransportKind[] = [],
  kinds: readonly TransportKind[] = ["webtransport", "websocket"],
) {
  const clock = new ManualClock();
  const log: string[] = [];
  const carrier = (kind: TransportKind): Transport => ({
    kind,
    lack: () => undefined,
    isWeary: () => weary.includes(kind),
    dial(_info: ConnectInfo, sink: Sink) {
      log.push(`dial ${kind} at ${clock.now()}`);
      const after = fate[kind];
      if (after !== undefined)
        clock.after(Math.abs(after), () => (after > 0 ? sink.opened() : sink.closed("no")));
      return { kind, send: () => undefined, close: () => log.push(`close ${kind}`) };
    },
  });
  const sink: Sink = {
    opened: () => log.push(`opened ${one.kind} at ${clock.now()}`),
    message: () => undefined,
    frame: () => undefined,
    closed: () => log.push(`lost at ${clock.now()}`),
  };
  const one = race(INFO, kinds.map(carrier), plan, clock, sink);
  clock.advance(2_000);
  return log;
}

describe("a race of carriers", () => {
  const open = { first: undefined, last: [], othersAfterMs: 400 };

  it("is won by WebTransport where it opens within its head start", () => {
    expect(run({ webtransport: 20, websocket: 5 }, open)).toEqual([
      "dial webtransport at 0",
      "opened webtransport at 20",
    ]);
  });

  it("lets the next one start after the head start, and hangs up the loser", () => {
    expect(run({ websocket: 5 }, open)).toEqual([
      "dial webtransport at 0",
      "dial websocket at 400",
      "close webtransport",
      "opened websocket at 405",
    ]);
  });

  it("does not wait for the head start to end where the first one fails", () => {
    expect(run({ webtransport: -3, websocket: 5 }, open)).toEqual([
      "dial webtransport at 0",
      "dial websocket at 3",
      "opened websocket at 8",
    ]);
  });

  it("comes to a weary carrier last, also to the one that won last time", () => {
    const loyal = { first: "webtransport", last: [], othersAfterMs: undefined } as const;
    for (const plan of [open, loyal]) {
      const log = run({ webtransport: 5, websocket: 7 }, plan, ["webtransport"]);
      expect(log).toEqual(["dial websocket at 0", "opened websocket at 7"]);
      expect(run({ webtransport: 5, websocket: -7 }, plan, ["webtransport"])).toEqual([
        "dial websocket at 0",
        "dial webtransport at 7",
        "opened webtransport at 12",
      ]);
    }
  });

  it("tries SSE again beside a carrier that the browser holds back", () => {
    expect(run({ sse: -3 }, open, [], ["websocket", "sse"])).toEqual([
      "dial websocket at 0",
      "dial sse at 400",
      "dial sse at 803",
      "dial sse at 1206",
      "dial sse at 1609",
    ]);
    expect(run({ websocket: -500, sse: -3 }, open, [], ["websocket", "sse"])).toEqual([
      "dial websocket at 0",
      "dial sse at 400",
      "dial sse at 500",
      "lost at 503",
    ]);
  });

  it("is lost once when all fail", () => {
    expect(run({ webtransport: -3, websocket: -5 }, open).at(-1)).toBe("lost at 8");
  });

  it("begins with the carrier that won last time, and alone if so planned", () => {
    expect(
      run({ websocket: -5 }, { first: "websocket", last: [], othersAfterMs: undefined }),
    ).toEqual(["dial websocket at 0", "lost at 5"]);
    expect(
      run({ websocket: -5, webtransport: 7 }, { first: "websocket", last: [], othersAfterMs: 100 }),
    ).toEqual(["dial websocket at 0", "dial webtransport at 5", "opened webtransport at 12"]);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HELD_BYTES_MAX, HELD_EVENTS_MAX, Reorder, type Run } from "./reorder.js";

const run = (firstSeq: number, count: number, byDatagram: boolean, size = count): Run => ({
  firstSeq,
  count,
  bytes: new Uint8Array(size),
  byDatagram,
});

/** Everything that has its turn after `seq`, as seqs. */
function drain(reorder: Reorder, seq: number, streamOnly = false): number {
  let at = seq;
  const next = () => reorder.take(at + 1, streamOnly);
  for (let one = next(); one; one = next()) {
    at = Math.max(at, one.firstSeq + one.count - 1);
  }
  return at;
}

describe("what came ahead of its turn", () => {
  it("waits until what is missing has come, whatever order it came in", () => {
    const runs = fc.array(fc.tuple(fc.integer({ min: 2, max: 60 }), fc.nat(8), fc.boolean()));
    fc.assert(
      fc.property(runs, (list) => {
        const reorder = new Reorder();
        const held = new Set<number>();
        for (const [first, more, byDatagram] of list) {
          expect(reorder.hold(run(first, more + 1, byDatagram))).toBe(true);
          for (let at = first; at <= first + more; at++) held.add(at);
        }
        expect(reorder.take(1, false)).toBeUndefined();
        let expected = 1;
        while (held.has(expected + 1)) expected += 1;
        expect(drain(reorder, 1)).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });

  it("drops the newest datagrams when it is full, and never what came by the stream", () => {
    const reorder = new Reorder();
    expect(reorder.hold(run(9, 1, false))).toBe(true);
    for (let at = 10; at < HELD_EVENTS_MAX + 640; at += 64) {
      expect(reorder.hold(run(at, 64, true))).toBe(true);
    }
    expect(reorder.hold(run(900_000, 1, false))).toBe(true);
    expect(drain(reorder, 8)).toBe(9 + 64 * Math.floor((HELD_EVENTS_MAX - 2) / 64));
    expect(drain(reorder, 899_999)).toBe(900_000);
  });

  it("says so when what came by the stream is more than it holds", () => {
    const reorder = new Reorder();
    expect(reorder.hold(run(5, 1, false, HELD_BYTES_MAX))).toBe(true);
    expect(reorder.hold(run(9, 1, true, 10))).toBe(true);
    expect(reorder.hold(run(7, 1, false, 1))).toBe(false);
  });

  it("does not let a datagram that may be dropped stand for what the stream brought", () => {
    const reorder = new Reorder();
    reorder.hold(run(5, 4, true));
    reorder.hold(run(6, 2, false));
    expect(drain(reorder, 5, true)).toBe(7);
    expect(drain(reorder, 4)).toBe(8);
  });
});

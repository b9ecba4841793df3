import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { End, Snapshot } from "../wire/frame.js";
import {
  advance,
  attach,
  begin,
  endsShort,
  type Progress,
  resumeFrom,
  rewound,
  snapshotted,
  subscribed,
} from "./cursor.js";

const told = (progress: Progress, lastSeq = 0, epoch = "a"): Progress =>
  subscribed(progress, { epoch, lastSeq }).progress;

describe("the cursor", () => {
  it("counts each event once, whatever runs arrive", () => {
    const runs = fc.array(fc.tuple(fc.nat(12), fc.nat(6)), { maxLength: 40 });
    fc.assert(
      fc.property(runs, (list) => {
        let progress = told(begin("beginning"));
        const seen: number[] = [];
        for (const [back, count] of list) {
          // A run begins somewhere between ten before the next seq and two past it.
          const first = Math.max(1, (progress.seq ?? 0) + 3 - back);
          const verdict = advance(progress, first, count);
          if (verdict.gap) {
            expect(first).toBeGreaterThan((progress.seq ?? 0) + 1);
            expect(verdict.progress).toBe(progress);
            continue;
          }
          for (let at = verdict.duplicates; at < count; at++) seen.push(first + at);
          progress = verdict.progress;
        }
        expect(seen).toEqual(seen.map((_, at) => at + 1));
        expect(progress.seq).toBe(seen.length);
      }),
      { numRuns: 1_000 },
    );
  });

  it("resumes after what it saw once it knows the epoch", () => {
    const progress = advance(told(begin("beginning")), 1, 7).progress;
    expect(resumeFrom(progress)).toEqual({ epoch: "a", seq: 7 });
  });

  it("begins again as asked where nothing came at all", () => {
    for (const from of ["beginning", "tail", "snapshot"] as const) {
      expect(resumeFrom(begin(from))).toBe(from);
    }
  });

  it("asks for a snapshot where events came without their epoch", () => {
    expect(resumeFrom(advance(begin("beginning"), 1, 3).progress)).toBe("snapshot");
    expect(resumeFrom(advance(begin("tail"), 9, 1).progress)).toBe("snapshot");
  });

  it("takes a tail's start from whichever tells it first", () => {
    expect(told(begin("tail"), 40).seq).toBe(40);
    const early = advance(begin("tail"), 41, 2).progress;
    expect(told(early, 40).seq).toBe(42);
  });

  it("does not let a late Subscribed undo what the frames said of the epoch", () => {
    const progress = rewound(advance(begin("beginning"), 1, 3).progress, {
      previousEpoch: "a",
      validThrough: 3,
      epoch: "b",
    });
    expect(told(progress, 3, "a").epoch).toBe("b");
  });

  it("claims nothing in a new epoch before its own stream has shown that no rewind came first", () => {
    const seen = advance(told(begin("beginning")), 1, 9).progress;
    const heard = told(attach(seen, { epoch: "a", seq: 9 }), 9, "b");
    expect(resumeFrom(heard)).toEqual({ epoch: "a", seq: 9 });
    expect(subscribed(attach(seen, "tail"), { epoch: "b", lastSeq: 9 }).complete).toBe(false);
    expect(resumeFrom(advance(heard, 10, 1).progress)).toEqual({ epoch: "b", seq: 10 });
    const early = advance(attach(seen, { epoch: "a", seq: 9 }), 10, 1).progress;
    expect(resumeFrom(told(early, 10, "b"))).toEqual({ epoch: "b", seq: 10 });
  });

  it("counts nothing between a rewind that took something and its snapshot", () => {
    const seen = advance(told(begin("beginning")), 1, 9).progress;
    const progress = rewound(seen, { previousEpoch: "a", validThrough: 5, epoch: "b" });
    expect(advance(progress, 10, 1).gap).toBe(true);
    expect(resumeFrom(progress)).toBe("snapshot");
    const fresh = snapshotted(progress, Snapshot.create({ epoch: "b", through: 6 }));
    expect(advance(fresh, 7, 1).gap).toBe(false);
  });

  it("goes on after a rewind that took nothing", () => {
    const seen = advance(told(begin("beginning")), 1, 5).progress;
    const progress = rewound(seen, { previousEpoch: "a", validThrough: 5, epoch: "b" });
    expect(resumeFrom(progress)).toEqual({ epoch: "b", seq: 5 });
    expect(advance(progress, 6, 1).gap).toBe(false);
  });

  it("knows an end that leaves something out", () => {
    const progress = advance(told(begin("beginning")), 1, 5).progress;
    expect(endsShort(progress, End.create({ lastSeq: 6 }))).toBe(true);
    expect(endsShort(progress, End.create({ lastSeq: 5 }))).toBe(false);
    expect(endsShort(progress, End.create({ lastSeq: 9, reason: "deleted" }))).toBe(false);
  });

  it("says that nothing is missing only when that is so", () => {
    const progress = advance(told(begin("beginning")), 1, 5).progress;
    expect(subscribed(progress, { epoch: "a", lastSeq: 5 }).complete).toBe(true);
    expect(subscribed(progress, { epoch: "a", lastSeq: 6 }).complete).toBe(false);
    expect(subscribed(begin("snapshot"), { epoch: "a", lastSeq: 0 }).complete).toBe(false);
  });
});

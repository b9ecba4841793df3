import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Pace, upTo } from "./pace.js";

describe("the pace of text", () => {
  it("never lags more than its bound, never runs ahead, never goes back", () => {
    const arrivals = fc.array(fc.tuple(fc.nat(400), fc.nat(500)), { maxLength: 30 });
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 1, max: 1_000 }), (bursts, lagMs) => {
        const pace = new Pace(lagMs, 0);
        const history: { at: number; length: number }[] = [];
        let [now, length, before] = [0, 0, 0];
        for (const [wait, units] of bursts) {
          for (const step of [wait / 2, wait]) {
            const at = now + step;
            const shown = pace.shown(at);
            const due = history.findLast((one) => at - one.at >= lagMs)?.length ?? 0;
            expect(shown).toBeGreaterThanOrEqual(Math.max(before, due));
            expect(shown).toBeLessThanOrEqual(length);
            before = shown;
          }
          now += wait;
          length += units;
          pace.arrive(length, now);
          history.push({ at: now, length });
        }
        const left = pace.left(now);
        expect(left).toBeLessThanOrEqual(lagMs);
        expect(pace.shown(now + left)).toBe(length);
        expect(pace.left(now + left)).toBe(0);
      }),
    );
  });

  it("shows at once what was there before", () => {
    expect(new Pace(250, 42).shown(0)).toBe(42);
  });

  it("begins anew with another text", () => {
    const pace = new Pace(250, 100);
    pace.arrive(10, 0);
    expect(pace.shown(0)).toBe(10);
  });

  it("cuts no character in two", () => {
    expect(upTo("a😀b", 2)).toBe("a");
    expect(upTo("a😀b", 3)).toBe("a😀");
    expect(upTo("a😀b", 9)).toBe("a😀b");
  });
});

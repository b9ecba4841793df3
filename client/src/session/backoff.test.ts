import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BURST_MS, PATIENCE_MS, REST_MS_MAX, restMs, SLOT_MS, slotMs } from "./backoff.js";

const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const known = (elapsedMs: number, unanswered = 0, learnedMs: number | undefined = 8) => ({
  elapsedMs,
  unanswered,
  online: true,
  learnedMs,
});

describe("the backoff", () => {
  it("replaces an attempt every 300 ms, give or take a fifth, while somebody waits", () => {
    fc.assert(
      fc.property(fc.nat(BURST_MS - 1), fc.nat(9), chance, (elapsed, unanswered, random) => {
        const slot = slotMs(known(elapsed, unanswered), random);
        expect(slot).toBeGreaterThanOrEqual(SLOT_MS * 0.8);
        expect(slot).toBeLessThanOrEqual(SLOT_MS * 1.2);
        // A refusal at once does not make the next attempt come any sooner.
        expect(restMs(known(elapsed), 1, slot, random)).toBeCloseTo(slot - 1);
        expect(restMs(known(elapsed), slot, slot, random)).toBe(0);
      }),
    );
  });

  it("gives a slow path the time that a handshake takes there", () => {
    expect(slotMs(known(0, 0, 250), 0.5)).toBe(1_000);
    expect(slotMs(known(0, 14), 0.5)).toBeGreaterThan(SLOT_MS * 5);
  });

  it("waits patiently before it knows anything, but not after a refusal", () => {
    const first = { elapsedMs: 0, unanswered: 0, online: true, learnedMs: undefined };
    expect(slotMs(first, 0.5)).toBe(PATIENCE_MS);
    expect(restMs(first, 2, PATIENCE_MS, 0.5)).toBe(SLOT_MS - 2);
  });

  it("does not wait for the slot of a slow path where it was refused at once", () => {
    const slot = slotMs(known(0, 0, 1_200), 0.5);
    expect(slot).toBeGreaterThan(4_000);
    expect(restMs(known(200, 0, 1_200), 3, slot, 0.5)).toBe(SLOT_MS - 3);
    expect(restMs(known(200, 0, 1_200), slot, slot, 0.5)).toBe(0);
  });

  it("rests longer after half a minute, never more than 5 s, never at the same time for all", () => {
    fc.assert(
      fc.property(fc.integer({ min: BURST_MS, max: 1e8 }), chance, (elapsed, random) => {
        const rest = restMs(known(elapsed), 100, PATIENCE_MS, random);
        expect(rest).toBeGreaterThanOrEqual(SLOT_MS);
        expect(rest).toBeLessThanOrEqual(REST_MS_MAX);
      }),
    );
    expect(restMs(known(1e6), 0, 0, 0)).not.toBe(restMs(known(1e6), 0, 0, 0.9));
    expect(restMs(known(1e6), 0, 0, 0.99)).toBeGreaterThan(restMs(known(BURST_MS), 0, 0, 0.99));
  });
});

// Text that flows onto the screen, however it came.

import { useEffect, useRef, useState } from "react";
import { Pace, upTo } from "./pace.js";

/** The lag that `smooth: true` stands for: bursts of a slow network even out, and nobody waits. */
export const SMOOTH_LAG_MS = 250;

/**
 * Shows `text` evenly, at most `lagMs` behind it; 0 turns it off. What is there at the first render is shown at once, and
 * so is everything for people who asked their system for less motion.
 */
export function useSmoothText(text: string, lagMs: number = SMOOTH_LAG_MS): string {
  const [, redraw] = useState(0);
  const pace = useRef<Pace | undefined>(undefined);
  const still = lagMs <= 0 || prefersStillness();
  pace.current ??= new Pace(Math.max(1, lagMs), text.length);
  const { current } = pace;
  const now = still ? Number.POSITIVE_INFINITY : performance.now();
  // Idempotent for a text of the same length, so a repeated render changes nothing.
  current.arrive(text.length, still ? 0 : now);
  const shown = current.shown(now);
  const flowing = !still && !current.done;
  useEffect(() => {
    if (!flowing) return;
    const frame = requestAnimationFrame(() => redraw((count) => count + 1));
    return () => cancelAnimationFrame(frame);
  });
  return still ? text : upTo(text, shown);
}

function prefersStillness(): boolean {
  return globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;
}

// Text that flows onto the screen, however it came.

import { useEffect, useRef, useState } from "react";
import { Pace, upTo } from "./pace.js";

/** The lag that `smooth: true` stands for: bursts of a slow network even out, and nobody waits. */
export const SMOOTH_LAG_MS = 250;

/**
 * Shows `text` evenly, at most `lagMs` behind it; 0 turns it off. What is there at the first render, or when `of` (whose
 * text it is) becomes another, is shown at once, and so is everything for people who asked their system for less motion.
 */
export function useSmoothText(text: string, lagMs: number = SMOOTH_LAG_MS, of?: unknown): string {
  const [, redraw] = useState(0);
  const flow = useRef<Flow | undefined>(undefined);
  if (flow.current?.of !== of || flow.current?.lagMs !== lagMs) {
    const pace = lagMs > 0 && !prefersStillness() ? new Pace(lagMs, text.length) : undefined;
    flow.current = { of, lagMs, pace };
  }
  const pace = flow.current?.pace;
  const now = performance.now();
  // Idempotent for a text of the same length, so a repeated render changes nothing.
  pace?.arrive(text.length, now);
  const shown = pace?.shown(now) ?? text.length;
  const left = pace?.left(now) ?? 0;
  useEffect(() => {
    if (left === 0) return;
    const step = (): void => redraw((count) => count + 1);
    const frame = requestAnimationFrame(step);
    // A hidden page has no frames, and is to keep the bound all the same.
    const timer = setTimeout(step, left);
    return () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  });
  return upTo(text, shown);
}

interface Flow {
  readonly of: unknown;
  readonly lagMs: number;
  /** Undefined where nothing flows. */
  readonly pace: Pace | undefined;
}

function prefersStillness(): boolean {
  return globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;
}

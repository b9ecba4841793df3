// What got through on this network, kept for a page's reload: which carrier won, and which came to nothing.

import type { Model } from "./model.js";

/** What is kept. */
export type Remembered = Pick<Model, "winner" | "strikes">;

/** Longer ago it may have been another network. */
const KEPT_MS = 300_000;

/** Reads it from the tab's session storage, if there is one. */
export function recall(gateway: string, wall: number): Partial<Remembered> {
  try {
    const [at, kept] = JSON.parse(sessionStorage[keyOf(gateway)]);
    return wall - at < KEPT_MS ? kept : {};
  } catch {
    return {};
  }
}

/** Keeps it there. */
export function remember(gateway: string, { winner, strikes }: Remembered, wall: number): void {
  try {
    sessionStorage[keyOf(gateway)] = JSON.stringify([wall, { winner, strikes }]);
  } catch {
    // No storage, or none for this page: the next one finds out by itself.
  }
}

const keyOf = (gateway: string): string => `tokenway:${gateway}`;

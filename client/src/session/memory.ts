// What got through on this network, kept for a page's reload: which carrier won, and which came to nothing.

import type { Model } from "./model.js";

/** What is kept. */
export type Remembered = Pick<Model, "winner" | "strikes">;

/** Longer ago it may have been another network. */
const KEPT_MS = 300_000;

/** Where it is kept: the tab's session storage, or nowhere. */
export class Memory {
  readonly #key: string;
  #kept = "";

  constructor(gateway: string) {
    this.#key = `tokenway:${gateway}`;
  }

  load(wall: number): Partial<Remembered> {
    try {
      const { at, winner, strikes } = JSON.parse(sessionStorage.getItem(this.#key) ?? "");
      return wall - at < KEPT_MS ? { winner, strikes } : {};
    } catch {
      return {};
    }
  }

  /** Writes only what is new. */
  save({ winner, strikes }: Remembered, wall: number): void {
    const kept = JSON.stringify({ winner, strikes });
    if (kept === this.#kept) return;
    this.#kept = kept;
    try {
      sessionStorage.setItem(this.#key, JSON.stringify({ at: wall, winner, strikes }));
    } catch {
      // No storage, or none for this page: the next one finds out by itself.
    }
  }
}

// Who may ask when. A browser opens at most 6 connections to one origin over HTTP/1.1, and a seventh request waits in
// silence: so only a few subscriptions have a request of their own that stays open, and the others take turns in one.

import type { Outcome, Subscription } from "./subscription.js";

/** Requests that stay open where each costs a connection. Of the 6, one is for turns and two for everything else. */
export const OWN_HTTP1 = 3;
/** Where they cost none: over HTTP/2 and HTTP/3, or outside of browsers. */
export const OWN_MANY = 64;
/** Those who take turns are not asked more often than this, all of them together. */
const ROUND_MS = 250;
/** A request that ended at once without anything new is repeated no sooner. */
const REST_MS = 100;

/** The subscriptions of one connection. */
export class Lanes {
  readonly #own: (one: Subscription) => Promise<Outcome>;
  readonly #failed: (error: unknown) => void;
  readonly #alone = new Set<Subscription>();
  readonly #turns = new Set<Subscription>();
  #width: number = OWN_HTTP1;
  #turning = false;
  #closed = false;

  /** `own` is how a subscription with a request of its own asks. */
  constructor(own: (one: Subscription) => Promise<Outcome>, failed: (error: unknown) => void) {
    this.#own = own;
    this.#failed = failed;
  }

  /** So many may ask at once. */
  widen(width: number): void {
    this.#width = width;
  }

  /** How many may. */
  get width(): number {
    return this.#width;
  }

  add(one: Subscription): void {
    if (this.#alone.size < this.#width) {
      this.#alone.add(one);
      this.#run(one, () => this.#own(one)).catch(this.#failed);
    } else {
      this.#turns.add(one);
      if (!this.#turning) this.#turn().catch(this.#failed);
    }
  }

  /** Nobody asks any more. */
  close(): void {
    this.#closed = true;
    for (const one of [...this.#alone, ...this.#turns]) one.leave();
  }

  async #run(one: Subscription, ask: () => Promise<Outcome>): Promise<void> {
    while ((await this.#ask(one, ask)) === "more") await rest(REST_MS);
    this.#alone.delete(one);
    const [next] = this.#turns;
    if (next === undefined || this.#closed) return;
    this.#turns.delete(next);
    this.add(next);
  }

  async #turn(): Promise<void> {
    this.#turning = true;
    while (this.#turns.size > 0 && !this.#closed) {
      const begun = Date.now();
      for (const one of this.#turns) {
        if ((await this.#ask(one, () => one.poll(0))) === "over") this.#turns.delete(one);
      }
      await rest(Math.max(0, begun + ROUND_MS - Date.now()));
    }
    this.#turning = false;
  }

  /** A request that was left has no outcome of interest. */
  async #ask(one: Subscription, ask: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return one.left ? "over" : await ask();
    } catch (error) {
      if (one.left) return "over";
      throw error;
    }
  }
}

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

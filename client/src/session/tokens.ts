// The channel tokens of one client: given once, added later, or fetched. How they are fetched again before they expire is
// loaded only where they are.

import type { Clock } from "./clock.js";
import type { Renewal } from "./renewal.js";

/** Channel tokens, or where to get them. The function is asked when connecting and again before the first one expires. */
export type Tokens = readonly string[] | (() => readonly string[] | Promise<readonly string[]>);

/** A session holds no more of them. */
const TOKENS_MAX = 64;
/** If tokens that are new are refused, asking for others does not help. */
const SPOIL_MS = 10_000;

/** One client's tokens. */
export class Keyring {
  readonly #clock: Clock;
  readonly #renewal: Promise<Renewal> | undefined;
  /** The newest last. */
  #all: readonly string[] = [];
  #spoiledAt = Number.NEGATIVE_INFINITY;

  /** `renewed` is told of what a running session does not have yet. */
  constructor(
    source: Tokens,
    clock: Clock,
    random: () => number,
    renewed: (tokens: readonly string[]) => void,
  ) {
    this.#clock = clock;
    if (typeof source !== "function") this.#all = source;
    else {
      const fetched = (tokens: readonly string[]): void => {
        this.add(tokens);
        renewed(tokens);
      };
      this.#renewal = import("./renewal.js").then(
        ({ Renewal }) => new Renewal(source, clock, random, fetched),
      );
      // Whoever asks is told.
      this.#renewal.catch(() => undefined);
    }
  }

  /** Whether others can be had by asking. */
  get renewable(): boolean {
    return !!this.#renewal;
  }

  /** All that there are, the newest last. */
  get all(): readonly string[] {
    return this.#all;
  }

  /** For a hello: fetched first, if those that are known are missing or out of date. */
  fresh(): Promise<unknown> | undefined {
    return this.#renewal?.then((renewal) => renewal.fresh());
  }

  /** Beside the others. */
  add(tokens: readonly string[]): void {
    this.#all = [...new Set([...this.#all, ...tokens])].slice(-TOKENS_MAX);
  }

  /** The gateway does not take them any more. Whether asking again can help: not twice within moments. */
  spoil(): boolean {
    const now = this.#clock.now();
    if (!this.#renewal || now - this.#spoiledAt < SPOIL_MS) return false;
    this.#spoiledAt = now;
    this.renew().catch(() => undefined);
    return true;
  }

  /** Fetches them again. */
  async renew(): Promise<void> {
    await (await this.#renewal)?.renew();
  }

  /** Asks no more. */
  close(): void {
    this.#renewal?.then((renewal) => renewal.close());
  }
}

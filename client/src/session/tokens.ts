// The channel tokens of one client: given once, added later, or fetched. How they are fetched again before they expire is
// loaded only where they are.

import type { Clock } from "./clock.js";
import type { Renewal } from "./renewal.js";

/** Channel tokens, or where to get them. The function is asked when connecting and again before the first one expires. */
export type Tokens = readonly string[] | (() => readonly string[] | Promise<readonly string[]>);

/** A session holds no more of them. */
const TOKENS_MAX = 64;
/** If tokens that are new are refused again and again, asking for others does not help. */
export const SPOILS_MAX = 5;

/** One client's tokens. */
export class Keyring {
  readonly #renewal: Promise<Renewal> | undefined;
  /** The newest last. */
  #all: readonly string[] = [];
  #spoils = SPOILS_MAX;

  /** `renewed` is told of what a running session does not have yet. */
  constructor(
    source: Tokens,
    clock: Clock,
    random: () => number,
    renewed: (tokens: readonly string[]) => void,
  ) {
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

  /** The gateway does not take them any more. Whether asking again can help. */
  spoil(): boolean {
    this.renew().catch(() => undefined);
    return this.renewable && this.#spoils-- > 0;
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

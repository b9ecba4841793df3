// The channel tokens of one client: given once, added later, or fetched. How they are fetched again before they expire is
// loaded only where they are.

import type { Clock } from "./clock.js";
import type { Renewal } from "./renewal.js";

/** Channel tokens, or where to get them. The function is asked when connecting and again before the first one expires. */
export type Tokens = Given | (() => Given | Promise<Given>);

/** One, or several. */
export type Given = string | readonly string[];

/** A session holds no more of them. */
const TOKENS_MAX = 64;

/** One client's tokens. */
export class Keyring {
  readonly #renewal: Promise<Renewal> | undefined;
  /** All that there are, the newest last. */
  all: readonly string[] = [];

  /** `renewed` is told of what a running session does not have yet. */
  constructor(
    source: Tokens,
    clock: Clock,
    random: () => number,
    renewed: (tokens: readonly string[]) => void,
  ) {
    if (typeof source !== "function") this.all = [source].flat();
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

  /** Beside the others. */
  add(tokens: readonly string[]): void {
    this.all = [...new Set([...this.all, ...tokens])].slice(-TOKENS_MAX);
  }

  /** Asks for tokens that hold, for others than those that are known, or no more. */
  ask(what: "fresh" | "renew" | "close"): Promise<unknown> | undefined {
    return this.#renewal?.then((renewal) => renewal[what]());
  }
}

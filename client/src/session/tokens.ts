// The channel tokens of one client: given once, added later, or fetched and fetched again before they expire.
// Reads only the expiry of a JWT; what a token allows is the gateway's affair.

import type { Clock } from "./clock.js";

/** Channel tokens, or where to get them. The function is asked when connecting and again before the first one expires. */
export type Tokens = readonly string[] | (() => readonly string[] | Promise<readonly string[]>);

/** A session holds no more of them. */
const TOKENS_MAX = 64;
/** New ones are fetched so long before the old ones expire, or when a fifth of their time is left. */
const MARGIN_MS = 30_000;
/** If tokens that are new are refused, asking for others does not help. */
const SPOIL_MS = 10_000;
/** How long to rest after a fetch that failed, at first and at most. */
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 30_000;

/** When a token expires, in milliseconds since 1970; undefined where it does not say. */
export function expiryOf(token: string): number | undefined {
  try {
    const payload = token.split(".").at(-2) ?? "";
    const { exp } = JSON.parse(atob(payload.replace(/-/g, "+").replace(/_/g, "/")));
    return typeof exp === "number" ? exp * 1_000 : undefined;
  } catch {
    return undefined;
  }
}

/** One client's tokens. */
export class Keyring {
  readonly #source: Tokens;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #renewed: (tokens: readonly string[]) => void;
  #added: readonly string[] = [];
  #fetched: readonly string[] = [];
  /** What is known to be out of date is fetched again before the next hello. */
  #stale: boolean;
  #fetching: Promise<readonly string[]> | undefined;
  #failures = 0;
  #spoiledAt = Number.NEGATIVE_INFINITY;
  #callOff: (() => void) | undefined;

  /** `renewed` is told of what a running session does not have yet. */
  constructor(
    source: Tokens,
    clock: Clock,
    random: () => number,
    renewed: (tokens: readonly string[]) => void,
  ) {
    this.#source = source;
    this.#clock = clock;
    this.#random = random;
    this.#renewed = renewed;
    this.#stale = this.renewable;
    if (typeof source !== "function") this.#fetched = source;
  }

  /** Whether others can be had by asking. */
  get renewable(): boolean {
    return typeof this.#source === "function";
  }

  /** All that there are, the newest last. */
  get all(): readonly string[] {
    return [...new Set([...this.#added, ...this.#fetched])].slice(-TOKENS_MAX);
  }

  /** For a hello: fetched first, if those that are known are missing or out of date. */
  fresh(): Promise<readonly string[]> | readonly string[] {
    return this.#stale || this.#leftMs() <= 0 ? this.renew() : this.all;
  }

  /** Beside the others. */
  add(tokens: readonly string[]): void {
    this.#added = [...new Set([...this.#added, ...tokens])].slice(-TOKENS_MAX);
  }

  /** The gateway does not take them any more. Whether asking again can help: not twice within moments. */
  spoil(): boolean {
    const now = this.#clock.now();
    const can = this.renewable && now - this.#spoiledAt > SPOIL_MS;
    if (can) [this.#spoiledAt, this.#stale] = [now, true];
    return can;
  }

  /** Fetches them again. */
  renew(): Promise<readonly string[]> {
    const source = this.#source;
    if (typeof source !== "function") return Promise.resolve(this.all);
    this.#fetching ??= Promise.resolve()
      .then(source)
      .then((tokens) => {
        this.#fetched = tokens;
        this.#stale = false;
        this.#failures = 0;
        this.#renewed(tokens);
        this.#schedule(this.#leftMs());
        return this.all;
      })
      .catch((error: unknown) => {
        const cap = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** this.#failures++);
        this.#schedule(cap * (0.5 + this.#random() / 2));
        throw error;
      })
      .finally(() => {
        this.#fetching = undefined;
      });
    return this.#fetching;
  }

  /** Asks no more. */
  close(): void {
    this.#callOff?.();
    this.#callOff = undefined;
  }

  /** How long what was fetched may still be used, less the margin. */
  #leftMs(): number {
    const now = this.#clock.wall();
    const left = Math.min(
      ...this.#fetched.map((token) => (expiryOf(token) ?? Number.POSITIVE_INFINITY) - now),
    );
    return left - Math.min(MARGIN_MS, left / 5);
  }

  #schedule(ms: number): void {
    this.#callOff?.();
    // A timer of a browser cannot be longer.
    const wait = Math.min(Math.max(RETRY_MS, ms), 2 ** 31 - 1);
    if (ms < Number.POSITIVE_INFINITY) {
      this.#callOff = this.#clock.after(wait, () => void this.renew().catch(() => undefined));
    }
  }
}

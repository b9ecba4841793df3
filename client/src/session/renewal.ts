// Tokens that are fetched: at first, and again before they expire. Reads only the expiry of a JWT; what a token allows is
// the gateway's affair.

import type { Clock } from "./clock.js";

type Fetch = () => readonly string[] | Promise<readonly string[]>;

/** New ones are fetched so long before the old ones expire, or when a fifth of their time is left. */
const MARGIN_MS = 30_000;
/** How long to rest after a fetch that failed, at first and at most. */
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 30_000;
/** A timer of a browser cannot be longer. */
const WAIT_MS_MAX = 2 ** 31 - 1;

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

/** Fetches tokens in time. */
export class Renewal {
  readonly #fetch: Fetch;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #fetched: (tokens: readonly string[]) => void;
  /** When to fetch again, by the wall; undefined before the first time. */
  #dueAt: number | undefined;
  #fetching: Promise<void> | undefined;
  #failures = 0;
  #callOff: (() => void) | undefined;
  #closed = false;

  /** `fetched` is told of what came. */
  constructor(
    fetch: Fetch,
    clock: Clock,
    random: () => number,
    fetched: (tokens: readonly string[]) => void,
  ) {
    this.#fetch = fetch;
    this.#clock = clock;
    this.#random = random;
    this.#fetched = fetched;
  }

  /** Resolves once there are tokens that hold. */
  fresh(): Promise<void> {
    const fresh = this.#dueAt !== undefined && this.#clock.wall() < this.#dueAt && !this.#fetching;
    return fresh ? Promise.resolve() : this.renew();
  }

  /** Fetches them, once for all who ask at the same time. */
  renew(): Promise<void> {
    this.#fetching ??= this.#renew().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  /** Asks no more. */
  close(): void {
    this.#closed = true;
    this.#callOff?.();
  }

  async #renew(): Promise<void> {
    try {
      const tokens = await this.#fetch();
      this.#failures = 0;
      this.#dueAt = this.#clock.wall() + this.#holdsMs(tokens);
      this.#again(this.#dueAt - this.#clock.wall());
      this.#fetched(tokens);
    } catch (error) {
      const cap = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** this.#failures++);
      this.#again(cap * (0.5 + this.#random() / 2));
      throw error;
    }
  }

  /** For how long all of them hold, less the margin. */
  #holdsMs(tokens: readonly string[]): number {
    const now = this.#clock.wall();
    const ends = tokens.map((token) => (expiryOf(token) ?? Number.POSITIVE_INFINITY) - now);
    const left = Math.min(...ends);
    return left - Math.min(MARGIN_MS, left / 5);
  }

  #again(ms: number): void {
    this.#callOff?.();
    if (this.#closed || ms === Number.POSITIVE_INFINITY) return;
    const wait = Math.min(Math.max(RETRY_MS, ms), WAIT_MS_MAX);
    this.#callOff = this.#clock.after(wait, () => void this.renew().catch(() => undefined));
  }
}

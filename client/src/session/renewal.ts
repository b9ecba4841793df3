// Tokens that are fetched: at first, and again before they expire. Reads only the expiry of a JWT; what a token allows is
// the gateway's affair.

import type { Clock } from "./clock.js";
import type { Given } from "./tokens.js";

type Fetch = () => Given | Promise<Given>;

/** New ones are fetched so long before the old ones expire, or when a fifth of their time is left. */
const MARGIN_MS = 30_000;
/** How long to rest after a fetch that failed, at first and at most. */
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 30_000;
/** How long a fetch may take. */
const ANSWER_MS = 10_000;
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
  /** When those that are known end, by the wall; undefined before the first time. */
  #endsAt: number | undefined;
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

  /** Resolves once there are tokens that hold: those that are known will do while they last, whatever becomes of a fetch. */
  fresh(): Promise<void> {
    const hold = this.#endsAt !== undefined && this.#clock.wall() < this.#endsAt;
    return hold ? Promise.resolve() : this.#refetch();
  }

  /** Fetches others in the place of those that are known, since these are refused. */
  renew(): Promise<void> {
    this.#endsAt = undefined;
    return this.#refetch();
  }

  /** Fetches them, once for all who ask at the same time. */
  #refetch(): Promise<void> {
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
      const tokens = [await this.#inTime()].flat();
      this.#failures = 0;
      const now = this.#clock.wall();
      const ends = tokens.map((token) => expiryOf(token) ?? Number.POSITIVE_INFINITY);
      const left = Math.min(...ends) - now;
      // New ones that look expired: this clock is wrong, and the gateway will say when they do not hold.
      const holds = left > 0;
      this.#endsAt = holds ? now + left : now + RETRY_MS_MAX;
      this.#again(holds ? left - Math.min(MARGIN_MS, left / 5) : RETRY_MS_MAX);
      this.#fetched(tokens);
    } catch (error) {
      const cap = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** this.#failures++);
      this.#again(cap * (0.5 + this.#random() / 2));
      throw error;
    }
  }

  /** A fetch on a network that is gone may never come back. */
  #inTime(): Promise<Given> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new Error(`no tokens within ${ANSWER_MS} ms`));
      const callOff = this.#clock.after(ANSWER_MS, late);
      const fetched = (async () => this.#fetch())();
      fetched.then(resolve, reject).finally(callOff);
    });
  }

  #again(ms: number): void {
    this.#callOff?.();
    if (this.#closed || ms === Number.POSITIVE_INFINITY) return;
    const wait = Math.min(Math.max(RETRY_MS, ms), WAIT_MS_MAX);
    this.#callOff = this.#clock.after(wait, () => void this.#refetch().catch(() => undefined));
  }
}

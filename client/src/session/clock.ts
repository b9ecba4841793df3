// Time, as the session sees it: one seam, so that tests can turn it by hand.

/** A clock that can be asked and can be set. */
export interface Clock {
  /** Milliseconds; only differences mean anything. */
  now(): number;
  /** Milliseconds since 1970. */
  wall(): number;
  /** Calls `then` once, after `ms`; the returned function calls that off. */
  after(ms: number, then: () => void): () => void;
}

/** The page's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

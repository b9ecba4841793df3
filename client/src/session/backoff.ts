// How long one attempt to connect may take and how long to rest before the next. Pure: time and chance come in.
//
// After a drop somebody is waiting, so one attempt is always pending and is replaced every 300 ms: after a network
// change the packets of an older one wait for a retransmission timer that has already backed off. After 30 s nobody
// is waiting any more, and the rests grow to 5 s.

/** How often a pending attempt is replaced at first. */
export const SLOT_MS = 300;
/** For how long. */
export const BURST_MS = 30_000;
/** The longest rest. */
export const REST_MS_MAX = 5_000;
/** How long an attempt may take where nothing is known about the path. */
export const PATIENCE_MS = 5_000;
/** The share by which a slot varies either way, so that the viewers of one gateway do not come back in step. */
export const JITTER = 0.2;

/** What is known when an attempt starts. */
export interface Situation {
  /** Since the connection was lost, or since the first attempt. */
  readonly elapsedMs: number;
  /** Attempts before this one in the same episode that got no answer at all. */
  readonly unanswered: number;
  /** Whether the browser believes that there is a network. */
  readonly online: boolean;
  /** How long the last successful attempt took; undefined before the first. */
  readonly learnedMs: number | undefined;
}

/** How long the attempt is kept before another one replaces it. `random` is in [0, 1). */
export function slotMs(now: Situation, random: number): number {
  if (now.learnedMs === undefined || now.elapsedMs >= BURST_MS) return PATIENCE_MS;
  // A handshake is several round trips: a slot shorter than it would never succeed. And where ten slots went by
  // without an answer the path may have become a slower one.
  const growth = 1.5 ** Math.max(0, now.unanswered - 9);
  const slot = Math.max(SLOT_MS, 4 * now.learnedMs) * growth;
  return Math.min(PATIENCE_MS, slot * (1 - JITTER + 2 * JITTER * random));
}

/** How long to rest after an attempt that took `tookMs` of its `slot` and failed. */
export function restMs(now: Situation, tookMs: number, slot: number, random: number): number {
  // Told when it is back; but some browsers believe wrongly, and a gateway on this machine needs no network.
  if (!now.online) return (REST_MS_MAX * (1 + random)) / 2;
  if (now.elapsedMs < BURST_MS) {
    // A slot may be long, but a refusal comes at once and costs little: try again at the burst's pace.
    const pace = Math.min(slot, SLOT_MS * (1 - JITTER + 2 * JITTER * random));
    return Math.max(0, pace - tookMs);
  }
  const cap = Math.min(REST_MS_MAX, (now.elapsedMs - BURST_MS) / 4 + 1_000);
  return SLOT_MS + (cap - SLOT_MS) * random;
}

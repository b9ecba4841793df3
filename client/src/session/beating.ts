// The session's decisions about a live link: when to ping, and when silence has lasted too long. Pure.
//
// The watchdog counts from an unanswered ping or from the last thing heard, whichever is later; only while the page is
// visible (hidden pages have slow clocks); and a thread that slept gives the path a new chance before it is judged.

import { ASLEEP_MS, type Heartbeat, NEVER, WATCHDOG_MS } from "./model.js";
import type { Turn } from "./turn.js";

/** When the silence has lasted too long. */
function barksAt({ pings: [oldest], heardAt, interval, suspect }: Heartbeat): number {
  if (!oldest || suspect) return NEVER;
  return Math.max(oldest[1], heardAt) + Math.max(WATCHDOG_MS, 1.5 * interval);
}

/** When a live link has to be looked at. */
export const beatsAt = (beat: Heartbeat, visible: boolean): number =>
  visible ? Math.min(beat.nextPing, barksAt(beat)) : beat.nextPing;

/** Time has passed on a live link. */
export function beatOn(turn: Turn, beat: Heartbeat): void {
  const { now, model } = turn;
  if (model.visible) {
    // The thread slept: answers may be waiting, and the old pings prove nothing.
    if (now - beat.nextPing > ASLEEP_MS) pardon(turn);
    else if (now >= barksAt(beat)) {
      turn.beat({ suspect: true });
      turn.say({ type: "settle" });
    }
  }
  if (now >= beat.nextPing) ping(turn);
}

/** Asks for a sign of life. */
export function ping(turn: Turn): void {
  const { model, now } = turn;
  const { phase, next: nonce } = model;
  if (phase.name !== "live") return;
  const { pings, interval } = phase.beat;
  // The oldest one is what the watchdog counts from; of the others a few serve to measure.
  const before = pings.slice(0, pings.length < 16 ? 16 : 8);
  turn.beat({ pings: [...before, [nonce, now]], nextPing: now + interval });
  turn.know({ next: nonce + 1 });
  turn.say({ type: "ping", attempt: phase.link, nonce });
}

/** Forgets the pings so far: the path is judged only by what comes of the next one. */
export function pardon(turn: Turn): void {
  turn.beat({ pings: [], suspect: false });
}

/** A ping was answered. */
export function ponged(turn: Turn, { pings }: Heartbeat, nonce: number): void {
  const { now } = turn;
  const sent = pings.find(([one]) => one === nonce);
  if (sent) turn.know({ rttMs: now - sent[1] });
  turn.beat({ pings: pings.filter(([one]) => one > nonce), heardAt: now, suspect: false });
}

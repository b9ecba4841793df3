// The session's decisions about a live link: when to ping, and when silence has lasted too long. Pure.
//
// The watchdog counts from an unanswered ping or from the last thing heard, whichever is later; only while the page is
// visible (hidden pages have slow clocks); and a thread that slept gives the path a new chance before it is judged.

import { ASLEEP_MS, type Heartbeat, type Model, WATCHDOG_MS } from "./model.js";
import type { Live, Turn } from "./turn.js";

/** When the silence has lasted too long; undefined while every ping is answered. */
function barksAt({ pings, heardAt, interval }: Heartbeat): number | undefined {
  const oldest = pings[0];
  if (!oldest) return undefined;
  return Math.max(oldest[1], heardAt) + Math.max(WATCHDOG_MS, 1.5 * interval);
}

/** When a live link has to be looked at. */
export function beatsAt({ visible }: Model, { beat, handover }: Live): number {
  const never = Number.POSITIVE_INFINITY;
  const bark = visible && !beat.suspect ? barksAt(beat) : undefined;
  const handed = handover && (handover.attempt?.deadline ?? handover.retryAt);
  return Math.min(beat.nextPing, bark ?? never, handed ?? never);
}

/** Time has passed on a live link. */
export function beatOn(turn: Turn, { beat }: Live): void {
  const { now, model } = turn;
  let { pings, suspect } = beat;
  if (model.visible) {
    // The thread slept: answers may be waiting, and the old pings prove nothing.
    if (now - beat.nextPing > ASLEEP_MS) [pings, suspect] = [[], false];
    const bark = barksAt({ ...beat, pings });
    if (!suspect && bark !== undefined && now >= bark) {
      suspect = true;
      turn.say({ type: "settle" });
    }
    turn.beat({ pings, suspect });
  }
  if (now >= beat.nextPing) ping(turn);
}

/** Asks for a sign of life. */
export function ping(turn: Turn): void {
  const { phase, model, now } = turn;
  if (phase.name !== "live") return;
  const { link: attempt, beat } = phase;
  const { nextNonce: nonce } = model;
  // The oldest one is what the watchdog counts from; of the others a few serve to measure.
  const before = beat.pings.slice(0, beat.pings.length < 16 ? 16 : 8);
  turn.beat({ pings: [...before, [nonce, now]], nextPing: now + beat.interval });
  turn.know({ nextNonce: nonce + 1 });
  turn.say({ type: "ping", attempt, nonce });
}

/** Forgets the pings so far: the path is judged only by what comes of the next one. */
export function pardon(turn: Turn): void {
  turn.beat({ pings: [], suspect: false });
}

/** A ping was answered. */
export function ponged(turn: Turn, nonce: number): void {
  const { phase, now } = turn;
  if (phase.name !== "live") return;
  const { pings } = phase.beat;
  const sent = pings.find(([one]) => one === nonce);
  if (sent) turn.know({ rttMs: now - sent[1] });
  turn.beat({ pings: pings.filter(([one]) => one > nonce), heardAt: now, suspect: false });
}

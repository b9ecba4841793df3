// The session's decisions about attempts to connect: when to dial, what an attempt becomes, what follows its end. Pure.

import type { TransportKind } from "../transport/transport.js";
import { restMs, type Situation, slotMs } from "./backoff.js";
import {
  type Episode,
  HEAD_START_MS,
  HEARTBEAT_MS,
  LOYAL_MS,
  type Pending,
  type SessionEvent,
  STRIKES_MAX,
  WELCOME_HTTP_MS,
  WELCOME_MS,
} from "./model.js";
import type { Turn } from "./turn.js";

/** An attempt in place of the one before it, beside the live link if there is one. */
export function dial(turn: Turn, { since, unanswered }: Episode = begins(turn.now)): void {
  const { model, now, random } = turn;
  const { next: id, winner: first, strikes, phase } = model;
  const known = situation(turn, { since, unanswered });
  const slot = slotMs(known, random);
  // What a page before has learnt may be of another network.
  const alone = first && known.learnedMs !== undefined && known.elapsedMs < LOYAL_MS;
  // Once loyalty has run out, the others must still have a part of the slot.
  const headStart = first ? Math.min(HEAD_START_MS, slot / 3) : HEAD_START_MS;
  const kinds = Object.keys(strikes) as (keyof typeof strikes)[];
  const last = kinds.filter((kind) => (strikes[kind] ?? 0) >= STRIKES_MAX);
  turn.hangUp(model.pending?.id);
  turn.know({
    next: id + 1,
    pending: {
      since,
      unanswered,
      id,
      startedAt: now,
      slot,
      deadline: now + slot,
      opened: undefined,
    },
    phase: phase.name === "live" ? phase : { name: "connecting" },
  });
  const othersAfterMs = alone ? undefined : headStart;
  turn.say({ type: "dial", attempt: id, first, last, othersAfterMs });
}

/** A loss that begins at this time. */
export const begins = (since: number): Episode => ({ since, unanswered: 0 });

function situation({ model, now }: Turn, { since, unanswered }: Episode): Situation {
  const { learnedMs, online } = model;
  return { elapsedMs: Math.max(0, now - since), unanswered, learnedMs, online };
}

/** Whether each subscription is a request of its own there. */
export const isHttp = (kind: TransportKind | undefined): boolean =>
  kind === "sse" || kind === "longpoll";

/** A carrier has opened: hello. */
export function opened(turn: Turn, event: Extract<SessionEvent, { type: "opened" }>): void {
  const { model, now } = turn;
  const { attempt, kind } = event;
  const { pending } = model;
  if (pending?.id !== attempt) return;
  const patience = isHttp(kind) ? WELCOME_HTTP_MS : WELCOME_MS;
  const deadline = Math.max(pending.deadline, now + patience);
  turn.know({ pending: { ...pending, deadline, opened: kind } });
  turn.say({ type: "hello", attempt });
}

/** The gateway has answered hello. */
export function welcomed(turn: Turn, event: Extract<SessionEvent, { type: "welcomed" }>): void {
  const { model, now } = turn;
  const { attempt: link, kind, dialledAt, heartbeatMs } = event;
  if (model.pending?.id !== link) return;
  turn.hangUp(turn.link);
  const interval = heartbeatMs || HEARTBEAT_MS;
  const beat = { interval, nextPing: now, pings: [], heardAt: now, suspect: false };
  turn.know({
    winner: kind,
    strikes: { ...model.strikes, [kind]: 0 },
    learnedMs: now - dialledAt,
    pending: undefined,
    phase: { name: "live", link, beat },
  });
}

/** A connection is gone, or an attempt came to nothing. */
export function gone(turn: Turn, link: number): void {
  const { pending } = turn.model;
  if (link === turn.link) {
    turn.know({ phase: { name: "connecting" } });
    // What is being tried beside it goes on alone.
    if (!pending?.id) dial(turn);
  } else if (pending?.id === link) {
    strike(turn, pending);
    if (turn.link) turn.know({ pending: { ...pending, id: 0 } });
    else rest(turn, pending);
  }
}

/** The time of what is being tried is over. */
export function expired(turn: Turn, pending: Pending): void {
  strike(turn, pending);
  const again = { ...pending, unanswered: pending.unanswered + 1 };
  if (turn.link) dial(turn, again);
  else {
    turn.hangUp(pending.id);
    rest(turn, again);
  }
}

/** A carrier that opens and then carries nothing is not to be loved. */
function strike(turn: Turn, { opened: kind }: Pending): void {
  if (!kind) return;
  const { strikes, winner } = turn.model;
  const count = (strikes[kind] ?? 0) + 1;
  const unloved = winner === kind && count >= STRIKES_MAX;
  turn.know({ strikes: { ...strikes, [kind]: count }, winner: unloved ? undefined : winner });
}

/** What follows an attempt that failed. */
function rest(turn: Turn, { since, unanswered, startedAt, slot }: Pending): void {
  const { now, random } = turn;
  const episode = { since, unanswered };
  const restFor = restMs(situation(turn, episode), now - startedAt, slot, random);
  turn.know({ pending: undefined });
  if (restFor <= 0) dial(turn, episode);
  else turn.know({ phase: { name: "waiting", ...episode, until: now + restFor, held: false } });
}

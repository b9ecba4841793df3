// The session's decisions about attempts to connect: when to dial, what an attempt becomes, what follows its end. Pure.

import { restMs, type Situation, slotMs } from "./backoff.js";
import {
  type Attempt,
  type Episode,
  HEAD_START_MS,
  HEARTBEAT_MS,
  LOYAL_MS,
  type SessionEvent,
  STRIKES_MAX,
  WELCOME_HTTP_MS,
  WELCOME_MS,
} from "./model.js";
import { episodeAt, type Live, pendingOf, type Turn } from "./turn.js";

/** Dials, with nothing live beside it. */
export function dial(turn: Turn, episode = episodeAt(turn.now)): void {
  turn.enter({ name: "connecting", episode, attempt: begin(turn, episode) });
}

/** Dials beside the live link, which stays until another one is welcomed. */
export function handOver(turn: Turn, live: Live, episode = episodeAt(turn.now)): void {
  turn.hangUp(live.handover?.attempt?.id);
  const attempt = begin(turn, episode);
  const handover = { episode, attempt, retryAt: attempt.deadline };
  turn.enter({ ...live, handover });
}

/** An attempt, and the command that carries it out. */
function begin(turn: Turn, episode: Episode): Attempt {
  const { model, now, random } = turn;
  const known = situation(turn, episode);
  const slot = slotMs(known, random);
  const { nextAttempt: id, winner: first, strikes } = model;
  const alone = first !== undefined && known.elapsedMs < LOYAL_MS;
  // Once loyalty has run out, the others must still have a part of the slot.
  const headStart = first === undefined ? HEAD_START_MS : Math.min(HEAD_START_MS, slot / 3);
  const kinds = Object.keys(strikes) as (keyof typeof strikes)[];
  const last = kinds.filter((kind) => (strikes[kind] ?? 0) >= STRIKES_MAX);
  const othersAfterMs = alone ? undefined : headStart;
  turn.know({ nextAttempt: id + 1 });
  turn.say({ type: "dial", attempt: id, first, last, othersAfterMs });
  return { id, startedAt: now, slot, deadline: now + slot, opened: undefined };
}

function situation({ model, now }: Turn, { since, unanswered }: Episode): Situation {
  const { learnedMs, online } = model;
  return { elapsedMs: Math.max(0, now - since), unanswered, learnedMs, online };
}

/** A carrier has opened: hello. */
export function opened(turn: Turn, event: Extract<SessionEvent, { type: "opened" }>): void {
  const { phase, now } = turn;
  const pending = pendingOf(phase);
  if (pending?.attempt?.id !== event.attempt) return;
  const { kind } = event;
  const patience = kind === "sse" || kind === "longpoll" ? WELCOME_HTTP_MS : WELCOME_MS;
  const deadline = Math.max(pending.attempt.deadline, now + patience);
  const attempt = { ...pending.attempt, deadline, opened: kind };
  if (phase.name === "connecting") turn.enter({ ...phase, attempt });
  else if (phase.name === "live" && phase.handover) {
    turn.enter({ ...phase, handover: { ...phase.handover, attempt } });
  }
  turn.say({ type: "hello", attempt: event.attempt });
}

/** The gateway has answered hello. */
export function welcomed(turn: Turn, event: Extract<SessionEvent, { type: "welcomed" }>): void {
  const { phase, now } = turn;
  const { attempt: link, kind, dialledAt, heartbeatMs } = event;
  if (!turn.isCurrent(link) || turn.isLive(link)) return;
  if (phase.name === "live") turn.hangUp(phase.link);
  const interval = heartbeatMs > 0 ? heartbeatMs : HEARTBEAT_MS;
  const beat = { interval, nextPing: now, pings: [], heardAt: now, suspect: false };
  turn.know({
    winner: kind,
    strikes: { ...turn.model.strikes, [kind]: 0 },
    learnedMs: now - dialledAt,
    phase: { name: "live", link, beat, handover: undefined },
  });
}

/** A connection is gone, or an attempt came to nothing. */
export function gone(turn: Turn, link: number): void {
  const { phase } = turn;
  const pending = pendingOf(phase);
  if (turn.isLive(link)) {
    // What is being tried beside it goes on alone.
    if (pending?.attempt) {
      const { episode, attempt } = pending;
      turn.enter({ name: "connecting", episode, attempt });
    } else dial(turn);
    return;
  }
  if (pending?.attempt?.id !== link) return;
  const { attempt } = pending;
  strike(turn, attempt);
  if (phase.name === "connecting") rest(turn, phase.episode, attempt);
  else if (phase.name === "live" && phase.handover) {
    const { deadline: retryAt } = attempt;
    turn.enter({ ...phase, handover: { ...phase.handover, attempt: undefined, retryAt } });
  }
}

/** The time of what is being tried is over. */
export function expired(turn: Turn): void {
  const { phase } = turn;
  const pending = pendingOf(phase);
  if (!pending) return;
  const { attempt, episode } = pending;
  const again = { ...episode, unanswered: episode.unanswered + 1 };
  if (attempt) strike(turn, attempt);
  if (turn.phase.name === "live") handOver(turn, turn.phase, again);
  else if (attempt) {
    turn.hangUp(attempt.id);
    rest(turn, again, attempt);
  }
}

/** A carrier that opens and then carries nothing is not to be loved. */
function strike(turn: Turn, { opened: kind }: Attempt): void {
  if (!kind) return;
  const { strikes, winner } = turn.model;
  const count = (strikes[kind] ?? 0) + 1;
  turn.know({
    strikes: { ...strikes, [kind]: count },
    winner: winner === kind && count >= STRIKES_MAX ? undefined : winner,
  });
}

/** What follows an attempt that failed. */
function rest(turn: Turn, episode: Episode, { startedAt, slot }: Attempt): void {
  const { now, random } = turn;
  const restFor = restMs(situation(turn, episode), now - startedAt, slot, random);
  if (restFor <= 0) dial(turn, episode);
  else turn.enter({ name: "waiting", episode, until: now + restFor, held: false });
}

// The session's decisions. Pure: (model, event, now, chance) -> model + commands; `wakeAt` says when to come back.
//
//   phase        event                     becomes
//   idle         start                     connecting
//   connecting   opened                    connecting, hello sent
//                welcomed                  live
//                gone, or its slot is over waiting, or connecting with the next attempt
//                noTransport               closed, unless there was one before
//   live         gone, or watchdog         connecting
//                goAway                    live, and a second attempt that replaces it once welcomed
//                drop                      waiting
//   waiting      its time is over, online  connecting
//   any          close, closing for good   closed
//
// The watchdog counts from an unanswered ping or from the last thing heard, whichever is later; only while the page
// is visible (hidden pages have slow clocks); and a thread that slept gives the path a new chance before it is judged.

import { restMs, type Situation, slotMs } from "./backoff.js";
import {
  ASLEEP_MS,
  type Attempt,
  type Command,
  type Episode,
  type Handover,
  HEAD_START_MS,
  HEARTBEAT_MS,
  type Heartbeat,
  LOYAL_MS,
  type Model,
  type Phase,
  type SessionEvent,
  type Step,
  WATCHDOG_MS,
  WELCOME_MS,
} from "./model.js";

/** When a tick is due. */
export function wakeAt({ phase, visible }: Model): number | undefined {
  switch (phase.name) {
    case "connecting":
      return phase.attempt.deadline;
    case "waiting":
      return phase.until;
    case "live": {
      const { beat, handover } = phase;
      const times = [beat.nextPing];
      const bark = visible && !beat.suspect ? barksAt(beat) : undefined;
      if (bark !== undefined) times.push(bark);
      if (handover !== undefined) times.push(handover.attempt?.deadline ?? handover.retryAt);
      return Math.min(...times);
    }
    default:
      return undefined;
  }
}

/** One step. `random` is in [0, 1). */
export function step(model: Model, event: SessionEvent, now: number, random: number): Step {
  const { phase } = model;
  if (phase.name === "closed") return stay(model);
  switch (event.type) {
    case "start":
      return phase.name === "idle" ? dial(model, episodeAt(now), now, random) : stay(model);
    case "opened":
      return opened(model, event.attempt, now);
    case "welcomed":
      return welcomed(model, event, now);
    case "gone":
      return gone(model, event.attempt, now, random);
    case "noTransport":
      if (!isCurrent(phase, event.attempt)) return stay(model);
      // What worked before may work again: the gateway may be halfway through a change.
      return model.winner === undefined
        ? shut(model, "no_transport", event.message)
        : gone(model, event.attempt, now, random);
    case "heard":
      return onLink(model, event.attempt, (live) =>
        stay(withBeat(model, live, { ...live.beat, heardAt: now, suspect: false })),
      );
    case "ponged":
      return onLink(model, event.attempt, (live) => ponged(model, live, event.nonce, now));
    case "goAway":
      return onLink(model, event.attempt, (live) =>
        live.handover === undefined
          ? handOver(model, live, episodeAt(now), now, random)
          : stay(model),
      );
    case "closing":
      if (!isCurrent(phase, event.attempt)) return stay(model);
      if (event.retry) return hangUp(event.attempt, gone(model, event.attempt, now, random));
      return shut(model, event.code, event.message);
    case "tick":
      return tick(model, now, random);
    case "settled":
      return phase.name === "live" && phase.beat.suspect
        ? hangUp(phase.link, gone(model, phase.link, now, random))
        : stay(model);
    case "visible":
      return seen({ ...model, visible: event.visible }, now);
    case "online":
      return phase.name === "waiting" && !phase.held
        ? dial(model, phase.episode, now, random)
        : stay(model);
    case "drop":
      return drop(model, event.offMs, now, random);
    case "close":
      return shut(model, "closed", "the client was closed");
  }
}

const stay = (model: Model): Step => ({ model, commands: [] });

/** A step with commands before its own. */
const after = (commands: readonly Command[], { model, commands: own }: Step): Step => ({
  model,
  commands: [...commands, ...own],
});

const hangUp = (attempt: number, then: Step): Step => after([{ type: "hangUp", attempt }], then);

const episodeAt = (since: number): Episode => ({ since, unanswered: 0 });

const unansweredAgain = (episode: Episode): Episode => ({
  ...episode,
  unanswered: episode.unanswered + 1,
});

/** What is being tried, alone or beside a live link. */
export const pendingOf = (phase: Phase): Handover | Connecting | undefined =>
  phase.name === "connecting" ? phase : phase.name === "live" ? phase.handover : undefined;

const linksOf = (phase: Phase): readonly number[] =>
  [phase.name === "live" ? phase.link : undefined, pendingOf(phase)?.attempt?.id].filter(
    (link) => link !== undefined,
  );

const isCurrent = (phase: Phase, link: number): boolean => linksOf(phase).includes(link);

type Live = Extract<Phase, { name: "live" }>;
type Connecting = Extract<Phase, { name: "connecting" }>;

function onLink(model: Model, attempt: number, then: (live: Live) => Step): Step {
  const { phase } = model;
  return phase.name === "live" && phase.link === attempt ? then(phase) : stay(model);
}

const withBeat = (model: Model, live: Live, beat: Heartbeat): Model => ({
  ...model,
  phase: { ...live, beat },
});

function situation(model: Model, episode: Episode, now: number): Situation {
  return {
    elapsedMs: Math.max(0, now - episode.since),
    unanswered: episode.unanswered,
    learnedMs: model.learnedMs,
  };
}

/** A new attempt, and the command that carries it out. */
function attemptOf(
  model: Model,
  episode: Episode,
  now: number,
  random: number,
): readonly [Model, Attempt, Command] {
  const known = situation(model, episode, now);
  const slot = slotMs(known, random);
  const id = model.nextAttempt;
  const alone = model.winner !== undefined && known.elapsedMs < LOYAL_MS;
  const first = model.winner;
  // Once loyalty has run out, the others must still have a part of the slot.
  const headStart = first === undefined ? HEAD_START_MS : Math.min(HEAD_START_MS, slot / 3);
  return [
    { ...model, nextAttempt: id + 1 },
    { id, startedAt: now, slot, deadline: now + slot },
    { type: "dial", attempt: id, first, othersAfterMs: alone ? undefined : headStart },
  ];
}

function dial(model: Model, episode: Episode, now: number, random: number): Step {
  const [next, attempt, command] = attemptOf(model, episode, now, random);
  return {
    model: { ...next, phase: { name: "connecting", episode, attempt } },
    commands: [command],
  };
}

function handOver(model: Model, live: Live, episode: Episode, now: number, random: number): Step {
  const [next, attempt, command] = attemptOf(model, episode, now, random);
  const handover = { episode, attempt, retryAt: attempt.deadline };
  return { model: { ...next, phase: { ...live, handover } }, commands: [command] };
}

function opened(model: Model, id: number, now: number): Step {
  const { phase } = model;
  const before = pendingOf(phase)?.attempt;
  if (before?.id !== id) return stay(model);
  const attempt = { ...before, deadline: Math.max(before.deadline, now + WELCOME_MS) };
  const next =
    phase.name === "live" && phase.handover
      ? { ...phase, handover: { ...phase.handover, attempt } }
      : { ...(phase as Connecting), attempt };
  return { model: { ...model, phase: next }, commands: [{ type: "hello", attempt: id }] };
}

function welcomed(
  model: Model,
  event: Extract<SessionEvent, { type: "welcomed" }>,
  now: number,
): Step {
  const { phase } = model;
  if (!isCurrent(phase, event.attempt) || (phase.name === "live" && phase.link === event.attempt)) {
    return stay(model);
  }
  const interval = event.heartbeatMs > 0 ? event.heartbeatMs : HEARTBEAT_MS;
  const beat = { interval, nextPing: now, pings: [], heardAt: now, suspect: false };
  return {
    model: {
      ...model,
      winner: event.kind,
      learnedMs: now - event.dialledAt,
      phase: { name: "live", link: event.attempt, beat, handover: undefined },
    },
    commands: phase.name === "live" ? [{ type: "hangUp", attempt: phase.link }] : [],
  };
}

function gone(model: Model, id: number, now: number, random: number): Step {
  const { phase } = model;
  if (phase.name === "connecting" && phase.attempt.id === id) {
    return rest(model, phase.episode, phase.attempt, now, random);
  }
  if (phase.name !== "live") return stay(model);
  const { handover } = phase;
  if (phase.link === id) {
    if (handover?.attempt !== undefined) {
      const { episode, attempt } = handover;
      return stay({ ...model, phase: { name: "connecting", episode, attempt } });
    }
    return dial(model, episodeAt(now), now, random);
  }
  if (handover?.attempt?.id !== id) return stay(model);
  const left = { ...handover, attempt: undefined, retryAt: handover.attempt.deadline };
  return stay({ ...model, phase: { ...phase, handover: left } });
}

/** What follows an attempt that failed. */
function rest(model: Model, episode: Episode, attempt: Attempt, now: number, random: number): Step {
  const known = situation(model, episode, now);
  const restFor = restMs(known, now - attempt.startedAt, attempt.slot, random);
  if (restFor <= 0) return dial(model, episode, now, random);
  return stay({ ...model, phase: { name: "waiting", episode, until: now + restFor, held: false } });
}

function ponged(model: Model, live: Live, nonce: number, now: number): Step {
  const sent = live.beat.pings.find(([one]) => one === nonce);
  const pings = live.beat.pings.filter(([one]) => one > nonce);
  const beat = { ...live.beat, pings, heardAt: now, suspect: false };
  return stay({ ...withBeat(model, live, beat), rttMs: sent ? now - sent[1] : model.rttMs });
}

/** When the silence has lasted too long; undefined while every ping is answered. */
function barksAt(beat: Heartbeat): number | undefined {
  const oldest = beat.pings[0];
  return oldest === undefined ? undefined : Math.max(oldest[1], beat.heardAt) + WATCHDOG_MS;
}

function tick(model: Model, now: number, random: number): Step {
  const { phase } = model;
  if (phase.name === "waiting" && now >= phase.until)
    return dial(model, phase.episode, now, random);
  if (phase.name === "connecting" && now >= phase.attempt.deadline) {
    const { attempt } = phase;
    const episode = unansweredAgain(phase.episode);
    return hangUp(attempt.id, rest(model, episode, attempt, now, random));
  }
  if (phase.name !== "live") return stay(model);
  return beatOn(model, phase, now, random);
}

function beatOn(model: Model, live: Live, now: number, random: number): Step {
  const { handover } = live;
  let { beat } = live;
  const commands: Command[] = [];
  if (model.visible) {
    // The thread slept: answers may be waiting, and the old pings prove nothing.
    if (now - beat.nextPing > ASLEEP_MS) beat = { ...beat, pings: [], suspect: false };
    const bark = barksAt(beat);
    if (!beat.suspect && bark !== undefined && now >= bark) {
      beat = { ...beat, suspect: true };
      commands.push({ type: "settle" });
    }
  }
  let next = stay(withBeat(model, live, beat));
  if (now >= beat.nextPing) next = ping(model, live, beat, now);
  if (handover !== undefined && now >= (handover.attempt?.deadline ?? handover.retryAt)) {
    commands.push(...next.commands);
    if (handover.attempt) commands.push({ type: "hangUp", attempt: handover.attempt.id });
    const episode = unansweredAgain(handover.episode);
    next = handOver(next.model, next.model.phase as Live, episode, now, random);
  }
  return after(commands, next);
}

function ping(model: Model, live: Live, beat: Heartbeat, now: number): Step {
  const nonce = model.nextNonce;
  // The oldest one is what the watchdog counts from; of the others a few serve to measure.
  const before = beat.pings.slice(0, beat.pings.length < 16 ? 16 : 8);
  const pings = [...before, [nonce, now] as const];
  const next = withBeat(model, live, { ...beat, pings, nextPing: now + beat.interval });
  return {
    model: { ...next, nextNonce: nonce + 1 },
    commands: [{ type: "ping", attempt: live.link, nonce }],
  };
}

/** The page came to the front or left it. */
function seen(model: Model, now: number): Step {
  const { phase } = model;
  if (phase.name !== "live") return stay(model);
  const beat = { ...phase.beat, pings: [], suspect: false };
  // Ping first, and judge only by what comes of it.
  return model.visible ? ping(model, phase, beat, now) : stay(withBeat(model, phase, beat));
}

const hangUpAll = (phase: Phase): readonly Command[] =>
  linksOf(phase).map((attempt) => ({ type: "hangUp", attempt }));

function drop(model: Model, offMs: number, now: number, random: number): Step {
  if (model.phase.name === "idle") return stay(model);
  const until = now + offMs;
  const episode = episodeAt(until);
  const phase: Phase = { name: "waiting", episode, until, held: true };
  const then = offMs > 0 ? stay({ ...model, phase }) : dial(model, episode, now, random);
  return after(hangUpAll(model.phase), then);
}

function shut(model: Model, code: string, message: string): Step {
  const commands = hangUpAll(model.phase);
  return { model: { ...model, phase: { name: "closed", code, message } }, commands };
}

// The session's decisions. Pure: (model, event, now, chance) -> model + commands; `wakeAt` says when to come back.
//
//   phase        event                     becomes
//   idle         start                     connecting
//   connecting   opened                    connecting, hello sent
//                welcomed                  live
//                gone, or its slot is over waiting, or connecting with the next attempt
//                noTransport               closed, unless there was one before
//   live         gone, or watchdog         connecting
//                goAway, network           live, and a second attempt that replaces it once welcomed
//                drop                      waiting
//   waiting      its time is over, online, network   connecting
//   asleep       wake                      connecting
//   any          sleep                     asleep
//   any          close, closing for good   closed
//
// `dialling` has what attempts become, `beating` the watchdog of a live link.

import { beatOn, beatsAt, pardon, ping, ponged } from "./beating.js";
import { dial, expired, gone, handOver, opened, welcomed } from "./dialling.js";
import { type Model, type SessionEvent, SLOT_OLD_MS, type Step } from "./model.js";
import { episodeAt, Turn } from "./turn.js";

export { pendingOf } from "./turn.js";

/** When a tick is due. */
export function wakeAt(model: Model): number | undefined {
  const { phase } = model;
  switch (phase.name) {
    case "connecting":
      return phase.attempt.deadline;
    case "waiting":
      return phase.until;
    case "live":
      return beatsAt(model, phase);
    default:
      return undefined;
  }
}

/** One step. `random` is in [0, 1). */
export function step(model: Model, event: SessionEvent, now: number, random: number): Step {
  const turn = new Turn(model, now, random);
  if (model.phase.name !== "closed") take(turn, event);
  return turn;
}

function take(turn: Turn, event: SessionEvent): void {
  const { phase, model } = turn;
  switch (event.type) {
    case "start":
      if (phase.name === "idle") dial(turn);
      break;
    case "opened":
      opened(turn, event);
      break;
    case "welcomed":
      welcomed(turn, event);
      break;
    case "gone":
      gone(turn, event.attempt);
      break;
    case "noTransport":
      if (!turn.isCurrent(event.attempt)) break;
      // What worked before may work again: the gateway may be halfway through a change.
      if (model.learnedMs === undefined) shut(turn, "no_transport", event.message);
      else gone(turn, event.attempt);
      break;
    case "heard":
      if (turn.isLive(event.attempt)) turn.beat({ heardAt: turn.now, suspect: false });
      break;
    case "ponged":
      if (turn.isLive(event.attempt)) ponged(turn, event.nonce);
      break;
    case "goAway":
      if (phase.name === "live" && phase.link === event.attempt && !phase.handover) {
        handOver(turn, phase);
      }
      break;
    case "closing":
      if (!turn.isCurrent(event.attempt)) break;
      if (!event.retry) shut(turn, event.code, event.message);
      else {
        turn.hangUp(event.attempt);
        gone(turn, event.attempt);
      }
      break;
    case "tick":
      tick(turn);
      break;
    case "settled":
      if (phase.name !== "live" || !phase.beat.suspect) break;
      turn.hangUp(phase.link);
      gone(turn, phase.link);
      break;
    case "visible":
      turn.know({ visible: event.visible });
      pardon(turn);
      // Ping first, and judge only by what comes of it.
      if (event.visible) ping(turn);
      break;
    case "online":
      turn.know({ online: event.online });
      if (event.online) anew(turn);
      ping(turn);
      break;
    case "network":
      anew(turn);
      // The old link may be of the old network; while it lasts, nothing is lost.
      if (turn.phase.name === "live") handOver(turn, turn.phase);
      break;
    case "sleep":
      if (phase.name === "idle") break;
      turn.hangUpAll();
      turn.enter({ name: "asleep" });
      break;
    case "wake":
      if (phase.name === "asleep") dial(turn);
      break;
    case "drop":
      drop(turn, event.offMs);
      break;
    case "close":
      shut(turn, "closed", "the client was closed");
  }
}

/** Perhaps another network: what is known of the last one does not hold, and nothing is to be waited for. */
function anew(turn: Turn): void {
  turn.know({ winner: undefined, strikes: {} });
  const { phase, now } = turn;
  if (phase.name === "waiting" && !phase.held) dial(turn, phase.episode);
  // An attempt that is older than a moment waits on timers of the last network.
  if (phase.name === "connecting" && now - phase.attempt.startedAt > SLOT_OLD_MS) {
    turn.hangUpAll();
    dial(turn, episodeAt(now));
  }
}

function tick(turn: Turn): void {
  const { phase, now } = turn;
  if (phase.name === "waiting" && now >= phase.until) dial(turn, phase.episode);
  else if (phase.name === "connecting" && now >= phase.attempt.deadline) expired(turn);
  else if (phase.name === "live") {
    const { handover } = phase;
    beatOn(turn, phase);
    if (handover && now >= (handover.attempt?.deadline ?? handover.retryAt)) expired(turn);
  }
}

function drop(turn: Turn, offMs: number): void {
  if (turn.phase.name === "idle") return;
  turn.hangUpAll();
  const until = turn.now + offMs;
  const episode = episodeAt(until);
  if (offMs > 0) turn.enter({ name: "waiting", episode, until, held: true });
  else dial(turn, episode);
}

function shut(turn: Turn, code: string, message: string): void {
  turn.hangUpAll();
  turn.enter({ name: "closed", code, message });
}

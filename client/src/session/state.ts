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
//   waiting      its time is over, online, network, visible   connecting
//   asleep       wake                      connecting
//   any          sleep                     asleep
//   any          close, closing for good   closed
//
// What is being tried is pending beside the phase. `dialling` has what attempts become, `beating` the watchdog of a live link.

import { beatOn, beatsAt, pardon, ping, ponged } from "./beating.js";
import { begins, dial, expired, gone, opened, welcomed } from "./dialling.js";
import { type Model, NEVER, type SessionEvent, SLOT_OLD_MS, type Step } from "./model.js";
import { Turn } from "./turn.js";

/** When a tick is due; infinity where nothing is. */
export function wakeAt({ phase, pending, visible }: Model): number {
  return Math.min(
    pending?.deadline ?? NEVER,
    phase.name === "waiting" ? phase.until : NEVER,
    phase.name === "live" ? beatsAt(phase.beat, visible) : NEVER,
  );
}

/** One step. `random` is in [0, 1). */
export function step(model: Model, event: SessionEvent, now: number, random: number): Step {
  const turn = new Turn(model, now, random);
  if (model.phase.name !== "closed") take(turn, event);
  return turn;
}

function take(turn: Turn, event: SessionEvent): void {
  const { model, link, now } = turn;
  const { phase, pending } = model;
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
      // What worked before may work again: the gateway may be halfway through a change.
      if (model.learnedMs !== undefined) gone(turn, event.attempt);
      else if (turn.isCurrent(event.attempt)) shut(turn, "no_transport", event.message);
      break;
    case "heard":
      if (event.attempt === link) turn.beat({ heardAt: now, suspect: false });
      break;
    case "ponged":
      if (phase.name === "live" && event.attempt === link) ponged(turn, phase.beat, event.nonce);
      break;
    case "goAway":
      if (event.attempt === link && !pending) dial(turn);
      break;
    case "closing":
      if (!turn.isCurrent(event.attempt)) break;
      if (event.retry) leave(turn, event.attempt);
      else shut(turn, event.code, event.message);
      break;
    case "tick":
      if (phase.name === "waiting" && now >= phase.until) dial(turn, phase);
      if (phase.name === "live") beatOn(turn, phase.beat);
      if (pending && now >= pending.deadline) expired(turn, pending);
      break;
    case "settled":
      if (phase.name === "live" && phase.beat.suspect) leave(turn, phase.link);
      break;
    case "visible":
      turn.know({ visible: event.visible });
      pardon(turn);
      // Ping first, and judge only by what comes of it.
      if (event.visible) {
        atOnce(turn);
        ping(turn);
      }
      break;
    case "online":
      turn.know({ online: event.online });
      if (event.online) anew(turn);
      ping(turn);
      break;
    case "network":
      anew(turn);
      // The old link may be of the old network; while it lasts, nothing is lost.
      if (link) dial(turn);
      break;
    case "sleep":
      if (phase.name === "idle") break;
      turn.hangUpAll();
      turn.know({ phase: { name: "asleep" } });
      break;
    case "wake":
      if (phase.name === "asleep") dial(turn);
      break;
    case "drop": {
      if (phase.name === "idle") break;
      turn.hangUpAll();
      const episode = begins(now + event.offMs);
      // Also without any time off what stood is lost.
      turn.know({ phase: { name: "waiting", ...episode, until: episode.since, held: true } });
      if (event.offMs <= 0) dial(turn, episode);
      break;
    }
    case "close":
      shut(turn, "closed", "");
  }
}

function leave(turn: Turn, link: number): void {
  turn.hangUp(link);
  gone(turn, link);
}

/** Perhaps another network: what is known of the last one does not hold. */
function anew(turn: Turn): void {
  turn.know({ winner: undefined, strikes: {} });
  atOnce(turn);
}

/** Somebody waits: no rest, and no attempt that waits on timers of the last network. */
function atOnce(turn: Turn): void {
  const { model, now } = turn;
  const { phase, pending } = model;
  if (phase.name === "waiting" && !phase.held) dial(turn, phase);
  if (phase.name === "connecting" && pending && now - pending.startedAt > SLOT_OLD_MS) dial(turn);
}

function shut(turn: Turn, code: string, message: string): void {
  turn.hangUpAll();
  turn.know({ phase: { name: "closed", code, message } });
}

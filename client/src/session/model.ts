// The words of the session's decisions: what it knows, what happens to it, what it wants done. state.ts decides.

import type { Order, TransportKind } from "../transport/transport.js";

/** How long each carrier is alone in the race before the next one starts. */
export const HEAD_START_MS = 400;
/** For how long after a drop only the carrier that worked is tried. */
export const LOYAL_MS = 3_000;
/** The gateway's default; its welcome says what holds. */
export const HEARTBEAT_MS = 250;
/** How long a path may be silent; longer where pings are rare. */
export const WATCHDOG_MS = 1_000;
/** How long hello may go unanswered on a connection that opened. */
export const WELCOME_MS = 1_000;
/** The same where it costs requests of its own. */
export const WELCOME_HTTP_MS = 3_000;
/** On another network an attempt older than this is not worth waiting for. */
export const SLOT_OLD_MS = 100;
/** A carrier that opened and was never welcomed so many times in a row is tried last on this network. */
export const STRIKES_MAX = 2;
/** Where nothing is due. */
export const NEVER = Number.POSITIVE_INFINITY;
/** A timer later than this tells of a thread that slept. */
export const ASLEEP_MS = 250;

/** What is being tried, alone or beside a live link that it is to replace. */
export interface Pending extends Episode {
  /** 0 once it has come to nothing: beside a live link the next one may wait for its time. */
  readonly id: number;
  readonly startedAt: number;
  readonly slot: number;
  readonly deadline: number;
  /** The carrier that won the race, once one has. */
  readonly opened: TransportKind | undefined;
}

/** The time from a loss to the next welcome. */
export interface Episode {
  readonly since: number;
  readonly unanswered: number;
}

/** Pings and what came back. */
export interface Heartbeat {
  readonly interval: number;
  readonly nextPing: number;
  /** Pings on their way: nonce and time. */
  readonly pings: readonly (readonly [nonce: number, sentAt: number])[];
  readonly heardAt: number;
  /** The watchdog has run out and the queue of what has arrived is being looked through. */
  readonly suspect: boolean;
}

export type Phase =
  | { readonly name: "idle" | "connecting" }
  | { readonly name: "live"; readonly link: number; readonly beat: Heartbeat }
  | ({
      readonly name: "waiting";
      readonly until: number;
      /** By request: being online again does not cut it short. */
      readonly held: boolean;
    } & Episode)
  /** The page is frozen or put away: nothing runs until it is back. */
  | { readonly name: "asleep" }
  | { readonly name: "closed"; readonly code: string; readonly message: string };

/** By carrier. */
export type Strikes = Readonly<Partial<Record<TransportKind, number>>>;

/** All that the session knows. */
export interface Model {
  readonly phase: Phase;
  readonly pending: Pending | undefined;
  readonly visible: boolean;
  /** Whether the browser believes that there is a network. */
  readonly online: boolean;
  /** The number of the next attempt or ping. */
  readonly next: number;
  /** The carrier that worked last on this network. */
  readonly winner: TransportKind | undefined;
  /** How many times in a row a carrier opened on this network and nothing came of it. */
  readonly strikes: Strikes;
  readonly learnedMs: number | undefined;
  readonly rttMs: number | undefined;
}

export type SessionEvent =
  | { readonly type: "start" }
  | { readonly type: "opened"; readonly attempt: number; readonly kind: TransportKind }
  | {
      readonly type: "welcomed";
      readonly attempt: number;
      readonly kind: TransportKind;
      readonly dialledAt: number;
      readonly heartbeatMs: number;
    }
  | { readonly type: "gone"; readonly attempt: number }
  /** There is nothing to dial with. */
  | { readonly type: "noTransport"; readonly attempt: number; readonly message: string }
  | { readonly type: "heard"; readonly attempt: number }
  | { readonly type: "ponged"; readonly attempt: number; readonly nonce: number }
  | { readonly type: "goAway"; readonly attempt: number }
  | {
      readonly type: "closing";
      readonly attempt: number;
      readonly code: string;
      readonly message: string;
      readonly retry: boolean;
    }
  | { readonly type: "tick" }
  | { readonly type: "settled" }
  | { readonly type: "visible"; readonly visible: boolean }
  | { readonly type: "online"; readonly online: boolean }
  /** There is another network than before. */
  | { readonly type: "network" }
  /** The page will be frozen; then it is back. */
  | { readonly type: "sleep" }
  | { readonly type: "wake" }
  | { readonly type: "drop"; readonly offMs: number }
  | { readonly type: "close" };

export type Command =
  | ({ readonly type: "dial"; readonly attempt: number } & Order)
  | { readonly type: "hello"; readonly attempt: number }
  | { readonly type: "hangUp"; readonly attempt: number }
  | { readonly type: "ping"; readonly attempt: number; readonly nonce: number }
  /** Let one full turn of the task queue pass, then say `settled`. */
  | { readonly type: "settle" };

export interface Step {
  readonly model: Model;
  readonly commands: readonly Command[];
}

export const initial: Model = {
  phase: { name: "idle" },
  pending: undefined,
  visible: true,
  online: true,
  next: 1,
  winner: undefined,
  strikes: {},
  learnedMs: undefined,
  rttMs: undefined,
};

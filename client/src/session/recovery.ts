// How long it took to be back after each loss: from the moment it was noticed to the first news after it. Pure.

import type { TransportKind } from "../transport/transport.js";

/** One loss and its end. */
export interface Recovery {
  /** `dropped`: by `Client.dropConnection`, so the loss and its noticing are one moment. */
  readonly cause: "dropped" | "lost";
  /** How long the client stayed off because it was told to. */
  readonly offMs: number;
  /** From the noticing (for `dropped`: from the drop itself) to the first new event, or to the word that none is missing. */
  readonly totalMs: number;
  /** `totalMs` without `offMs`: what the way back took. */
  readonly recoveryMs: number;
  /** The carrier afterwards. */
  readonly transport: TransportKind | undefined;
}

/** A loss that has not ended. */
export interface Loss {
  readonly cause: Recovery["cause"];
  readonly since: number;
  readonly offMs: number;
}

/** The loss is over. */
export function recovered(loss: Loss, now: number, transport: TransportKind | undefined): Recovery {
  const totalMs = now - loss.since;
  const { cause, offMs } = loss;
  return { cause, offMs, totalMs, recoveryMs: Math.max(0, totalMs - offMs), transport };
}

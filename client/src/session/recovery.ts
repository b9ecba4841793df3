// How long it took to be back after each loss: from the moment it was noticed to the first news after it.

import type { TransportKind } from "../transport/transport.js";

/** One loss and its end. */
export interface Recovery {
  /** `dropped`: by `Client.dropConnection`. `slept`: the page was frozen or put away. Of both the loss is the noticing. */
  readonly cause: "dropped" | "slept" | "lost";
  /** How long the client stayed off because it was told to, or slept. */
  readonly offMs: number;
  /** From the noticing (for `dropped`: from the drop itself) to the first new event, or to the word that none is missing. */
  readonly totalMs: number;
  /** `totalMs` without `offMs`: what the way back took. */
  readonly recoveryMs: number;
  /** The carrier afterwards. */
  readonly transport: TransportKind | undefined;
}

/** A loss that has not ended. `offMs`: undefined while asleep. */
type Loss = Pick<Recovery, "cause"> & { readonly since: number; offMs: number | undefined };

const KEPT_MAX = 100;

/** The losses of one client. */
export class Recoveries {
  #loss: Loss | undefined;
  /** The last ones, oldest first. */
  all: readonly Recovery[] = [];

  /** The connection is lost, unless it was already. */
  lost(cause: Recovery["cause"], now: number, offMs: number): void {
    this.#loss ??= { cause, since: now, offMs: cause === "slept" ? undefined : offMs };
  }

  /** The page is there again, if it was not. */
  awake(now: number): void {
    if (this.#loss) this.#loss.offMs ??= now - this.#loss.since;
  }

  /** News have come; true if that ended a loss. */
  back(now: number, transport: TransportKind | undefined): boolean {
    if (!this.#loss) return false;
    const { cause, since, offMs = 0 } = this.#loss;
    this.#loss = undefined;
    const totalMs = now - since;
    const recoveryMs = Math.max(0, totalMs - offMs);
    this.all = [...this.all, { cause, offMs, totalMs, recoveryMs, transport }].slice(-KEPT_MAX);
    return true;
  }
}

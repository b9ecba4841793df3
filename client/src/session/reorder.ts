// What came ahead of its turn on a subscription whose events come by datagram. Bounded. Pure.

import type { ChannelEvent } from "../wire/event.js";

/** So many events are held at most, and so many bytes of frames. */
export const HELD_EVENTS_MAX = 16_384;
export const HELD_BYTES_MAX = 1024 * 1024;

/** A run of consecutive events. */
export interface Run {
  readonly firstSeq: number;
  readonly events: readonly ChannelEvent[];
  readonly size: number;
  /** If it is dropped it comes again, on the stream: nobody has acknowledged it. */
  readonly byDatagram: boolean;
}

/** The runs that wait for what is missing before them. */
export class Reorder {
  /** By their first seq. */
  #held: Run[] = [];
  #events = 0;
  #bytes = 0;

  /** Keeps a run. False if one that does not come again found no room. */
  hold(run: Run): boolean {
    if (this.#held.some((one) => replaces(one, run))) return true;
    for (const one of this.#held.filter((other) => replaces(run, other))) this.#drop(one);
    this.#held.splice(this.#held.findLastIndex((one) => one.firstSeq <= run.firstSeq) + 1, 0, run);
    this.#count(run, 1);
    while (this.#events > HELD_EVENTS_MAX || this.#bytes > HELD_BYTES_MAX) {
      // The newest: what is missing comes before the others.
      const newest = this.#held.findLast((one) => one.byDatagram);
      if (newest === undefined) return false;
      this.#drop(newest);
    }
    return true;
  }

  /** A run whose turn it is, if any, where everything up to and with `seq` was seen. */
  take(seq: number, streamOnly: boolean): Run | undefined {
    const next = this.#held.find((one) => !(streamOnly && one.byDatagram));
    if (next === undefined || next.firstSeq > seq + 1) return undefined;
    this.#drop(next);
    return next;
  }

  #drop(run: Run): void {
    this.#held.splice(this.#held.indexOf(run), 1);
    this.#count(run, -1);
  }

  #count({ events, size }: Run, sign: number): void {
    this.#events += sign * events.length;
    this.#bytes += sign * size;
  }
}

/** Whether all of `other` is in `one`, and `one` is no less sure to stay. */
function replaces(one: Run, other: Run): boolean {
  const last = one.firstSeq + one.events.length;
  const holds = one.firstSeq <= other.firstSeq && last >= other.firstSeq + other.events.length;
  return holds && (other.byDatagram || !one.byDatagram);
}

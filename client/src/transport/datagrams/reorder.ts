// What came ahead of its turn on a subscription whose events come by datagram. Bounded. Pure.

/** So many events are held at most, and so many bytes of frames: many times what comes in the time a packet is missed. */
export const HELD_EVENTS_MAX = 4_096;
export const HELD_BYTES_MAX = 1024 * 1024;

/** A frame of consecutive events. */
export interface Run {
  readonly firstSeq: number;
  readonly count: number;
  /** The frame. */
  readonly bytes: Uint8Array;
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

  /** A run whose turn it is, if any, where `next` is the first seq that was not seen. */
  take(next: number, streamOnly: boolean): Run | undefined {
    const first = this.#held.find((one) => !(streamOnly && one.byDatagram));
    if (!first || first.firstSeq > next) return undefined;
    this.#drop(first);
    return first;
  }

  #drop(run: Run): void {
    this.#held.splice(this.#held.indexOf(run), 1);
    this.#count(run, -1);
  }

  #count({ count, bytes }: Run, sign: number): void {
    this.#events += sign * count;
    this.#bytes += sign * bytes.length;
  }
}

/** Whether all of `other` is in `one`, and `one` is no less sure to stay. */
function replaces(one: Run, other: Run): boolean {
  const end = one.firstSeq + one.count;
  const holds = one.firstSeq <= other.firstSeq && end >= other.firstSeq + other.count;
  return holds && (other.byDatagram || !one.byDatagram);
}

// One subscription whose events come by datagram, put in order: what goes on is as if all had come on its stream.
//
// A frame on the stream may be ahead of its turn, too: the gateway leaves out of it what was acknowledged, and what it has
// sent by datagram a moment ago. What came by datagram is of no use until Subscribed has told that its epoch is ours; and
// if it is another one, not before the stream has brought its news.

import type { Frame } from "../../wire/frame.js";
import type { Subscribe, Subscribed } from "../../wire/session.js";
import { Reorder, type Run } from "./reorder.js";

/** Takes a frame whose turn it is. */
export type Pass = (frame: Uint8Array, byDatagram: boolean) => void;

/** One subscription. */
export class Lane {
  readonly alias: number;
  readonly #pass: Pass;
  readonly #held = new Reorder();
  readonly #epoch: string | undefined;
  readonly #tail: boolean;
  /** The first seq that was not seen; undefined where Subscribed or a snapshot will tell. */
  #next: number | undefined;
  #granted = false;
  /** Subscribed named another epoch than ours, and the stream has brought nothing yet. */
  #promised = false;
  #brought = false;

  constructor({ alias, from }: Subscribe, pass: Pass) {
    this.alias = alias;
    this.#pass = pass;
    this.#tail = from?.case === "tail";
    if (from?.case === "beginning") this.#next = 1;
    if (from?.case === "cursor") {
      this.#next = from.value.seq + 1;
      this.#epoch = from.value.epoch;
    }
  }

  /** What may be acknowledged; undefined where nothing is to be. */
  get contiguous(): number | undefined {
    return this.#trusts && this.#next !== undefined ? this.#next - 1 : undefined;
  }

  get #trusts(): boolean {
    return this.#granted && !this.#promised;
  }

  /** It was taken up; false if nothing will come by datagram. */
  subscribed({ epoch, lastSeq, delivery }: Subscribed): boolean {
    this.#granted = delivery === "datagram";
    this.#promised = !this.#brought && this.#epoch !== undefined && this.#epoch !== epoch;
    if (this.#tail) this.#next ??= lastSeq + 1;
    this.#drain(!this.#granted);
    return this.#granted;
  }

  /** Takes a frame, from a datagram or from the stream. */
  take({ firstSeq, events, news }: Frame, bytes: Uint8Array, byDatagram: boolean): void {
    const count = events.length;
    const run = { firstSeq, count, bytes, byDatagram };
    // On the stream, news of another epoch come before its events.
    if (!byDatagram) [this.#brought, this.#promised] = [true, false];
    if (news?.case === "snapshot") this.#next = news.value.through + 1;
    // All that was not acknowledged has come on the stream before the end.
    if (news?.case === "end") this.#drain(true);
    if (count === 0) this.#pass(bytes, byDatagram);
    else if ((this.#trusts || !byDatagram) && firstSeq <= (this.#next ?? -1)) this.#forward(run);
    // Where it finds no room there is a gap, and whoever reads knows what to do about it.
    else if (!this.#held.hold({ ...run, bytes: bytes.slice() })) this.#pass(bytes, byDatagram);
    this.#drain();
  }

  #forward({ firstSeq, count, bytes, byDatagram }: Run): void {
    this.#next = Math.max(this.#next ?? 0, firstSeq + count);
    this.#pass(bytes, byDatagram);
  }

  /** Passes on what was held and has its turn now, or all of it. */
  #drain(all = false): void {
    for (;;) {
      const next = all ? Number.POSITIVE_INFINITY : (this.#next ?? -1);
      const run = this.#held.take(next, !this.#trusts);
      if (!run) return;
      this.#forward(run);
    }
  }
}

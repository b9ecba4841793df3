// One subscription: what arrives for it goes through the cursor into the fold and to whoever iterates.
// It says what should happen next and does none of it: attaching and asking again is the client's.

import { ConnectionError, refusalOf, renews, restarts, type TokenwayError } from "../errors.js";
import { Fold } from "../fold.js";
import type { ChannelSnapshot } from "../snapshot.js";
import { type Frames, Store } from "../store.js";
import type { ChannelEvent } from "../wire/event.js";
import type { End, Frame, Rewind, Snapshot } from "../wire/frame.js";
import type { Delivery, Refused, Subscribed } from "../wire/session.js";
import type { Place } from "./aliases.js";
import {
  advance,
  attach,
  begin,
  endsShort,
  type From,
  type Progress,
  resumeFrom,
  rewound,
  snapshotted,
  subscribed,
} from "./cursor.js";

/** What became of a message: all is well, subscribe again, do so with newer tokens, or it is over. */
export type Outcome = "fine" | "again" | "renew" | "over";

/** What was counted. */
export interface ChannelMetrics {
  /** Frames so far, in whatever way they came. */
  readonly frames: number;
  /** Frames that came by datagram. */
  readonly datagrams: number;
  /** Of frames, before encryption. */
  readonly bytes: number;
  /** Events that were new. */
  readonly events: number;
  /** Events that came again and were dropped: with datagrams that is how losses are made up for. */
  readonly duplicates: number;
  /** Runs of events that did not join what was seen. */
  readonly gaps: number;
  /** Snapshots that took the place of what was there. */
  readonly snapshots: number;
  /** Times that it was taken up: 1 without any drop. */
  readonly attachments: number;
  /** By the client's clock, since the subscription was asked for; undefined until an event came. */
  readonly firstEventMs: number | undefined;
}

/** News for whoever follows event by event. */
export type Batch =
  | {
      readonly kind: "events";
      readonly firstSeq: number;
      readonly events: readonly ChannelEvent[];
    }
  /** Forget what you had: this is the channel now. `lagged`: you were too slow, and this is what you missed. */
  | {
      readonly kind: "snapshot";
      readonly cause: Snapshot["cause"] | "lagged";
      readonly state: ChannelSnapshot;
    }
  /** What was seen past `validThrough` did not survive; a snapshot follows if that is less than you had. */
  | { readonly kind: "rewind"; readonly validThrough: number; readonly epoch: string };

/** Who follows event by event. */
export interface Follower {
  push(batch: Batch): void;
  /** Nothing more will come. */
  wake(): void;
}

/** A gateway that leaves gaps again and again will not stop: give up instead of asking for ever. */
const FRUITLESS_MAX = 8;

/** One subscription's state. */
export class Feed extends Store<ChannelSnapshot> {
  readonly channel: string;
  /** How events are wanted. */
  readonly delivery: Delivery;
  /** Where it is attached; kept by `Aliases`. */
  place: Place | undefined;
  readonly followers = new Set<Follower>();
  readonly #fold = new Fold();
  readonly #askedAt: number;
  #progress: Progress;
  #status: ChannelSnapshot["status"] = "pending";
  #end: End["reason"] | undefined;
  #error: TokenwayError | undefined;
  #fruitless = 0;
  #acknowledged = false;
  #metrics = {
    frames: 0,
    datagrams: 0,
    bytes: 0,
    events: 0,
    duplicates: 0,
    gaps: 0,
    snapshots: 0,
    attachments: 0,
    firstEventMs: undefined as number | undefined,
  };

  constructor(channel: string, from: From, delivery: Delivery, now: number, frames: Frames) {
    super(() => this.snapshot(), frames);
    this.channel = channel;
    this.delivery = delivery;
    this.#progress = begin(from);
    this.#askedAt = now;
  }

  /** Whether anything can still come. */
  get over(): boolean {
    return this.#status !== "pending" && this.#status !== "open";
  }

  /** Whether the attachment of now was answered. */
  get acknowledged(): boolean {
    return this.#acknowledged;
  }

  get error(): TokenwayError | undefined {
    return this.#error;
  }

  /** How many times anything new has come. */
  get received(): number {
    return this.#metrics.events + this.#metrics.snapshots;
  }

  metrics(): ChannelMetrics {
    return { ...this.#metrics };
  }

  snapshot(): ChannelSnapshot {
    const { generations, customs } = this.#fold.commit();
    return {
      channel: this.channel,
      epoch: this.#progress.epoch,
      seq: this.#progress.seq ?? 0,
      status: this.#status,
      end: this.#end,
      error: this.#error,
      generations,
      customs,
    };
  }

  /** It is attached under a new alias; says from where. */
  attach(): From {
    const from = resumeFrom(this.#progress);
    this.#progress = attach(this.#progress, from);
    this.#metrics.attachments += 1;
    this.#acknowledged = false;
    return from;
  }

  /** Says whether nothing is missing. */
  subscribed(news: Subscribed): boolean {
    this.#acknowledged = true;
    const { progress, complete } = subscribed(this.#progress, news);
    this.#progress = progress;
    for (const { index, started } of news.generations) this.#fold.introduce(index, started);
    // Its snapshot comes on a stream of its own and may be late: until then nothing is known of how things stand.
    if (this.#status === "pending" && !progress.awaitsSnapshot) this.#status = "open";
    this.touch();
    return complete;
  }

  /** `renewable`: other tokens can be had. */
  refused(news: Refused, renewable: boolean): Outcome {
    const renew = renewable && renews(news.code);
    if ((renew || restarts(news.code)) && ++this.#fruitless < FRUITLESS_MAX) {
      if (renew) return "renew";
      this.#progress = { ...this.#progress, awaitsSnapshot: true };
      return "again";
    }
    this.#acknowledged = true;
    this.fail(refusalOf(news.code, news.message));
    return "over";
  }

  frame(
    { firstSeq, events, news }: Frame,
    size: number,
    byDatagram: boolean,
    now: number,
    renewable: boolean,
  ): Outcome {
    this.#metrics.frames += 1;
    this.#metrics.bytes += size;
    if (byDatagram) this.#metrics.datagrams += 1;
    if (news?.case === "snapshot") this.#takeSnapshot(news.value);
    if (news?.case === "rewind") {
      this.#takeRewind(news.value);
      // Datagrams of the old epoch may still be on their way, and nothing tells them from the new one's.
      if (this.delivery === "datagram") return "again";
    }
    if (news?.case === "end") return this.#takeEnd(news.value, renewable);
    return this.#takeEvents(firstSeq, events, now);
  }

  /** Nobody wants it any more. */
  detach(): void {
    if (!this.over) this.#close("detached");
  }

  fail(error: TokenwayError): void {
    if (this.over) return;
    this.#error = error;
    this.#close("failed");
  }

  #close(status: ChannelSnapshot["status"]): void {
    this.#status = status;
    this.touch();
    for (const one of this.followers) one.wake();
  }

  #tell(batch: Batch): void {
    for (const one of this.followers) one.push(batch);
  }

  #takeSnapshot(news: Snapshot): void {
    this.#metrics.snapshots += 1;
    this.#fruitless = 0;
    this.#progress = snapshotted(this.#progress, news);
    this.#fold.replace(news);
    if (this.#status === "pending") this.#status = "open";
    this.#tell({ kind: "snapshot", cause: news.cause, state: this.snapshot() });
    this.touch();
  }

  #takeRewind(news: Rewind): void {
    this.#progress = rewound(this.#progress, news);
    const { validThrough, epoch } = news;
    this.#tell({ kind: "rewind", validThrough, epoch });
    this.touch();
  }

  #takeEvents(firstSeq: number, events: readonly ChannelEvent[], now: number): Outcome {
    const { progress, duplicates, gap } = advance(this.#progress, firstSeq, events.length);
    if (gap) return this.#gap();
    this.#progress = progress;
    this.#metrics.duplicates += duplicates;
    if (events.length === duplicates) return "fine";
    const fresh = duplicates === 0 ? events : events.slice(duplicates);
    const first = firstSeq + duplicates;
    fresh.forEach((event, at) => {
      this.#fold.apply(first + at, event);
    });
    this.#fruitless = 0;
    this.#metrics.events += fresh.length;
    this.#metrics.firstEventMs ??= now - this.#askedAt;
    if (this.#status === "pending") this.#status = "open";
    this.#tell({ kind: "events", firstSeq: first, events: fresh });
    this.touch();
    return "fine";
  }

  #takeEnd(news: End, renewable: boolean): Outcome {
    // The token ran out, and not the channel.
    if (news.reason === "forbidden" && renewable && ++this.#fruitless < FRUITLESS_MAX) {
      return "renew";
    }
    if (endsShort(this.#progress, news)) return this.#gap();
    this.#end = news.reason;
    this.#close("ended");
    return "over";
  }

  #gap(): Outcome {
    this.#metrics.gaps += 1;
    this.#fruitless += 1;
    if (this.#fruitless < FRUITLESS_MAX) return "again";
    this.fail(new ConnectionError("gap", "events are missing again and again"));
    return "over";
  }
}

// What has been seen of a channel, and what to make of what arrives next: duplicates, gaps, snapshots, rewinds. Pure.
//
// (epoch, seq) names one event for ever, so a place in a channel is all that has to be remembered. Frames carry no
// epoch; it comes with Subscribed, which travels on another stream and may come after the first frames.

import type { End, Rewind, Snapshot } from "../wire/frame.js";
import type { Cursor, Subscribe } from "../wire/session.js";

/** Where a subscription begins: after what was seen, at seq 1, at what is said from now on, or at a snapshot. */
export type From = Cursor | "beginning" | "tail" | "snapshot";

/** What is known of a channel. */
export interface Progress {
  /** Where the caller asked to begin. */
  readonly from: From;
  /** Undefined until the gateway has told. */
  readonly epoch: string | undefined;
  /** The last seq that was seen; undefined where the first one to come decides. */
  readonly seq: number | undefined;
  /** Nothing counts until a snapshot has come. */
  readonly awaitsSnapshot: boolean;
  /** The epoch that Subscribed named, while a Rewind may still be on its way. */
  readonly promised: string | undefined;
  /** What this attachment's own stream has brought: events, or news that told the epoch. */
  readonly brought: "nothing" | "events" | "news";
}

/** What to do with a run of events. */
export interface Verdict {
  readonly progress: Progress;
  /** Events at the run's head that were seen before. */
  readonly duplicates: number;
  /** The run does not join what was seen: drop it and subscribe again. */
  readonly gap: boolean;
}

/** Nothing seen yet. */
export function begin(from: From): Progress {
  const cursor = typeof from === "object" ? from : undefined;
  return {
    from,
    epoch: cursor?.epoch,
    seq: cursor?.seq ?? (from === "beginning" ? 0 : undefined),
    awaitsSnapshot: from === "snapshot",
    promised: undefined,
    brought: "nothing",
  };
}

/** Where to begin on a new connection or under a new alias. */
export function resumeFrom(progress: Progress): From {
  if (progress.awaitsSnapshot) return "snapshot";
  if (progress.epoch !== undefined && progress.seq !== undefined) {
    return { epoch: progress.epoch, seq: progress.seq };
  }
  // Events without an epoch cannot be named, so they cannot be resumed after. Nothing seen: begin as asked.
  const untouched = begin(progress.from);
  return progress.seq === untouched.seq ? progress.from : "snapshot";
}

/** A new attachment begins where `from` says. */
export function attach(progress: Progress, from: From): Progress {
  const awaitsSnapshot = progress.awaitsSnapshot || from === "snapshot";
  return { ...progress, awaitsSnapshot, promised: undefined, brought: "nothing" };
}

/** Takes a run of `count` events, the first of which is `firstSeq`. */
export function advance(progress: Progress, firstSeq: number, count: number): Verdict {
  const same = { progress, duplicates: 0, gap: false };
  if (count === 0) return same;
  if (progress.awaitsSnapshot) return { ...same, gap: true };
  const seen = progress.seq ?? firstSeq - 1;
  if (firstSeq > seen + 1) return { ...same, gap: true };
  const last = firstSeq + count - 1;
  const duplicates = Math.min(count, seen - firstSeq + 1);
  const next: Progress = {
    ...progress,
    // A Rewind would have come before these, on the same stream: what was seen before holds in the new epoch.
    epoch: progress.promised ?? progress.epoch,
    promised: undefined,
    seq: Math.max(seen, last),
    brought: progress.brought === "news" ? "news" : "events",
  };
  return { progress: next, duplicates, gap: false };
}

/**
 * A subscription was taken up; true if nothing is missing. It comes on another stream than the frames: it may be older
 * than the news they brought, and it may come before the Rewind that takes back what was seen.
 */
export function subscribed(
  progress: Progress,
  news: { readonly epoch: string; readonly lastSeq: number },
): { readonly progress: Progress; readonly complete: boolean } {
  const known = progress.epoch === undefined || progress.brought === "events";
  const doubted = !known && progress.epoch !== news.epoch;
  const next: Progress = {
    ...progress,
    epoch: known ? news.epoch : progress.epoch,
    promised: doubted && progress.brought === "nothing" ? news.epoch : undefined,
    seq: progress.seq ?? (progress.from === "tail" ? news.lastSeq : undefined),
  };
  const complete =
    !next.awaitsSnapshot && !doubted && next.seq !== undefined && next.seq >= news.lastSeq;
  return { progress: next, complete };
}

/** A snapshot replaces all that was seen. */
export function snapshotted(progress: Progress, news: Snapshot): Progress {
  return {
    ...progress,
    epoch: news.epoch,
    seq: news.through,
    awaitsSnapshot: false,
    promised: undefined,
    brought: "news",
  };
}

/** Another epoch began; what was seen past its start did not survive, and a snapshot follows. */
export function rewound(progress: Progress, news: Rewind): Progress {
  const lost = progress.seq !== undefined && progress.seq > news.validThrough;
  return {
    ...progress,
    epoch: news.epoch,
    awaitsSnapshot: progress.awaitsSnapshot || lost,
    promised: undefined,
    brought: "news",
  };
}

/** Whether the channel's end leaves something out. */
export function endsShort(progress: Progress, news: End): boolean {
  return news.reason === "complete" && progress.seq !== undefined && progress.seq < news.lastSeq;
}

/** The wire's form. */
export function onWire(from: From): Subscribe["from"] {
  if (typeof from === "object") return { case: "cursor", value: from };
  return { case: from, value: {} };
}

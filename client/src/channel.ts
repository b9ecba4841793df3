/// <reference lib="esnext.disposable" preserve="true" />
// A channel as its user has it: batches to iterate over, a store to render from, and two ways to end it.

import type { Batch, ChannelMetrics, Feed, Follower } from "./session/feed.js";
import type { ChannelSnapshot } from "./snapshot.js";
import type { Readable } from "./store.js";

/** What a channel asks of its client. */
export interface ChannelOwner {
  detach(feed: Feed): void;
  cancel(channel: string, generation?: string): Promise<void>;
}

/** So many events may wait for an iterator; past that it gets one snapshot in their place. */
const WAITING_EVENTS_MAX = 16_384;

/** One subscription to one channel. */
export class Channel implements AsyncIterable<Batch>, AsyncDisposable, Readable<ChannelSnapshot> {
  readonly #owner: ChannelOwner;
  readonly #feed: Feed;
  /** Calls the listener after each change, at most once per animation frame. */
  readonly subscribe: (listener: () => void) => () => void;
  /** What the channel says so far; the same value until the next change. */
  readonly getSnapshot: () => ChannelSnapshot;

  /** Made by `Client.subscribe`. */
  constructor(owner: ChannelOwner, feed: Feed) {
    this.#owner = owner;
    this.#feed = feed;
    this.subscribe = feed.subscribe;
    this.getSnapshot = feed.getSnapshot;
  }

  /** The channel's id. */
  get id(): string {
    return this.#feed.channel;
  }

  /** What was counted so far. */
  metrics(): ChannelMetrics {
    return this.#feed.metrics();
  }

  /** Leaves. Whatever runs goes on. */
  detach(): void {
    this.#owner.detach(this.#feed);
  }

  /** Stops a generation, or all that run now: one that begins later goes on, however long this takes to get through. */
  async cancel(generation?: string): Promise<void> {
    const running = this.getSnapshot().generations.filter(({ state }) => state === "running");
    const ids = generation || !running[0] ? [generation] : running.map((one) => one.started?.id);
    await Promise.all(ids.map((id) => this.#owner.cancel(this.id, id)));
  }

  /** Leaves, as `detach`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.detach();
  }

  /**
   * The batches from the first event that this subscription brings, or, where some have come already, a snapshot of
   * those and then the rest. Ends with the channel; throws a `TokenwayError` if it fails.
   */
  [Symbol.asyncIterator](): AsyncIterator<Batch> {
    const waiting = new Waiting(this.#feed);
    return waiting.batches();
  }
}

/** What waits for one who iterates. */
class Waiting implements Follower {
  readonly #feed: Feed;
  #queue: Batch[] = [];
  #events = 0;
  #wake: () => void = () => undefined;

  constructor(feed: Feed) {
    this.#feed = feed;
    feed.followers.add(this);
    if (feed.received > 0) this.#collapse();
  }

  push(batch: Batch): void {
    this.#queue.push(batch);
    if (batch.kind === "events") this.#events += batch.events.length;
    if (this.#events > WAITING_EVENTS_MAX) this.#collapse();
    this.wake();
  }

  wake(): void {
    this.#wake();
  }

  async *batches(): AsyncGenerator<Batch, undefined> {
    try {
      for (;;) {
        let runs = 0;
        while (this.#queue[runs]?.kind === "events") runs += 1;
        // Events that wait follow one another: a replay is one batch.
        const taken = this.#queue.splice(0, runs || 1);
        const [first] = taken;
        if (first) {
          const events = taken.flatMap((one) => (one.kind === "events" ? one.events : []));
          this.#events -= events.length;
          yield first.kind === "events" ? { ...first, events } : first;
        } else if (this.#feed.over) {
          if (this.#feed.error) throw this.#feed.error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.#feed.followers.delete(this);
    }
  }

  #collapse(): void {
    this.#queue = [{ kind: "snapshot", cause: "lagged", state: this.#feed.snapshot() }];
    this.#events = 0;
  }
}

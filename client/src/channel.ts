// A channel as its user has it: batches to iterate over, a store to render from, and two ways to end it.

import type { From } from "./session/cursor.js";
import { type Batch, type ChannelMetrics, Feed } from "./session/feed.js";
import type { ChannelSnapshot } from "./snapshot.js";
import { type Frames, type Readable, Store } from "./store.js";
import type { Delivery } from "./wire/session.js";

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
  readonly #store: Store<ChannelSnapshot>;
  readonly #iterators = new Set<Iteration>();

  /** Made by `Client.subscribe`. */
  constructor(
    owner: ChannelOwner,
    id: string,
    from: From,
    delivery: Delivery,
    now: number,
    frames: Frames,
  ) {
    this.#owner = owner;
    this.#feed = new Feed(id, from, delivery, now, {
      batch: (batch) => {
        for (const one of this.#iterators) one.push(batch);
      },
      changed: () => {
        this.#store.touch();
        if (this.#feed.over) for (const one of this.#iterators) one.wake();
      },
    });
    this.#store = new Store(() => this.#feed.snapshot(), frames);
    this.subscribe = this.#store.subscribe;
    this.getSnapshot = this.#store.getSnapshot;
  }

  /** The channel's id. */
  get id(): string {
    return this.#feed.channel;
  }

  /** @internal The client's side of this channel. */
  get feed(): Feed {
    return this.#feed;
  }

  /** Calls the listener after each change, at most once per animation frame. */
  readonly subscribe: (listener: () => void) => () => void;

  /** What the channel says so far; the same value until the next change. */
  readonly getSnapshot: () => ChannelSnapshot;

  /** What was counted so far. */
  metrics(): ChannelMetrics {
    return this.#feed.metrics();
  }

  /** Leaves. Whatever runs goes on. */
  detach(): void {
    this.#owner.detach(this.#feed);
  }

  /** Stops a generation, or all that run. */
  cancel(generation?: string): Promise<void> {
    return this.#owner.cancel(this.id, generation);
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
    const iteration = new Iteration(this.#feed, () => this.#iterators.delete(iteration));
    this.#iterators.add(iteration);
    return iteration;
  }
}

class Iteration implements AsyncIterator<Batch> {
  readonly #feed: Feed;
  readonly #done: () => void;
  #queue: Batch[] = [];
  #waiting = 0;
  #sleepers: (() => void)[] = [];

  constructor(feed: Feed, done: () => void) {
    this.#feed = feed;
    this.#done = done;
    const { events, snapshots } = feed.metrics();
    if (events + snapshots > 0) this.#collapse();
  }

  push(batch: Batch): void {
    this.#queue.push(batch);
    this.#waiting += batch.kind === "events" ? batch.events.length : 1;
    if (this.#waiting > WAITING_EVENTS_MAX) this.#collapse();
    this.wake();
  }

  wake(): void {
    for (const wake of this.#sleepers.splice(0)) wake();
  }

  async next(): Promise<IteratorResult<Batch>> {
    for (;;) {
      const batch = this.#queue.shift();
      if (batch !== undefined) {
        this.#waiting -= batch.kind === "events" ? batch.events.length : 1;
        return { value: batch, done: false };
      }
      if (this.#feed.over) {
        this.#done();
        if (this.#feed.error) throw this.#feed.error;
        return { value: undefined, done: true };
      }
      await new Promise<void>((resolve) => {
        this.#sleepers.push(resolve);
      });
    }
  }

  async return(): Promise<IteratorResult<Batch>> {
    this.#done();
    return { value: undefined, done: true };
  }

  #collapse(): void {
    this.#queue = [{ kind: "snapshot", cause: "lagged", state: this.#feed.snapshot() }];
    this.#waiting = 1;
  }
}

// Subscriptions that components share: one per client, channel and place to begin, for as long as anybody looks.
//
// A component that mounts, unmounts and mounts again (StrictMode, a list that is sorted) finds the same subscription:
// it is given up only a moment after the last one has left.

import type { Channel, ChannelSnapshot, Client, From } from "tokenway";

/** How long a subscription without a viewer is kept, in milliseconds: a navigation within an app. */
const KEEP_MS = 1_000;

/** What a component looks at. The functions are bound. */
export interface Looking {
  readonly subscribe: (listener: () => void) => () => void;
  readonly getSnapshot: () => ChannelSnapshot;
  /** What a page begins with that a server sent. */
  readonly getServerSnapshot: () => ChannelSnapshot;
  /** Resolves once the gateway has answered; undefined where it has. */
  readonly first: () => Promise<void> | undefined;
  /** Asks again for a channel that was not there, or is no more. */
  readonly retry: () => void;
}

/** A channel that several components may look at. */
class SharedChannel implements Looking {
  readonly #client: Client;
  readonly #id: string;
  readonly #from: From;
  readonly #forget: () => void;
  /** The same value each time, as `useSyncExternalStore` wants it. */
  readonly #pending: ChannelSnapshot;
  readonly #listeners = new Set<() => void>();
  #channel: Channel | undefined;
  #leaving: ReturnType<typeof setTimeout> | undefined;
  #first: Promise<void> | undefined;

  constructor(client: Client, id: string, from: From, forget: () => void) {
    this.#client = client;
    this.#id = id;
    this.#from = from;
    this.#forget = forget;
    this.#pending = pending(id);
  }

  #begin(): Channel {
    const channel = this.#client.subscribe(this.#id, { from: this.#from });
    channel.subscribe(() => {
      // One that another has taken the place of has nothing more to say.
      if (this.#channel === channel) for (const listener of this.#listeners) listener();
    });
    this.#first = undefined;
    this.#channel = channel;
    return channel;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    clearTimeout(this.#leaving);
    // What could not be read then, such as a chat that had not begun, is asked for again by whoever comes new.
    this.retry();
    if (!this.#channel) this.#begin();
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#leave();
    };
  };

  readonly getSnapshot = (): ChannelSnapshot =>
    this.#channel?.getSnapshot() ?? this.getServerSnapshot();

  readonly getServerSnapshot = (): ChannelSnapshot => this.#pending;

  readonly retry = (): void => {
    const { status, end } = this.getSnapshot();
    // A new one has something to say, if only that it cannot be read. Deleted or evicted.
    if (status === "failed" || end?.endsWith("ted")) this.#begin();
  };

  readonly first = (): Promise<void> | undefined => {
    const channel = this.#channel ?? this.#begin();
    if (channel.getSnapshot().status !== "pending") return undefined;
    this.#first ??= new Promise((resolve) => {
      const forget = channel.subscribe(() => {
        if (channel.getSnapshot().status === "pending") return;
        forget();
        resolve();
      });
    });
    // Whoever suspends may never come back.
    if (this.#listeners.size === 0) this.#leave(30 * KEEP_MS);
    return this.#first;
  };

  #leave(afterMs = KEEP_MS): void {
    clearTimeout(this.#leaving);
    this.#leaving = setTimeout(() => {
      if (this.#listeners.size > 0) return;
      this.#channel?.detach();
      this.#channel = undefined;
      this.#forget();
    }, afterMs);
  }
}

const pending = (channel: string): ChannelSnapshot => ({
  channel,
  epoch: undefined,
  seq: 0,
  status: "pending",
  end: undefined,
  error: undefined,
  generations: [],
  customs: [],
});

const nothing = (): undefined => undefined;

/** No channel, or no client yet. */
export function nowhere(channel = ""): Looking {
  const snapshot = pending(channel);
  const getSnapshot = (): ChannelSnapshot => snapshot;
  return {
    subscribe: () => nothing,
    getSnapshot,
    getServerSnapshot: getSnapshot,
    first: nothing,
    retry: nothing,
  };
}

const clients = new WeakMap<Client, Map<string, SharedChannel>>();

/** The subscription that all components with these arguments share. */
export function sharedChannel(client: Client, id: string, from: From): Looking {
  let channels = clients.get(client);
  if (channels === undefined) {
    channels = new Map();
    clients.set(client, channels);
  }
  const key = JSON.stringify([id, from]);
  const there = channels.get(key);
  if (there) return there;
  const shared = new SharedChannel(client, id, from, () => channels.delete(key));
  channels.set(key, shared);
  return shared;
}

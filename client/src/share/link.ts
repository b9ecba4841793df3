// A tab's place on a relay: a connection as the tab's session sees it.

import type { Connection, Sink, TransportKind } from "../transport/transport.js";

/** A connection on a relay. */
export interface Shared extends Connection {
  /** Its number, once it is known. */
  readonly relay: number | undefined;
}

/** What carries it. */
export interface LinkRelay {
  readonly number: number;
  readonly kind: TransportKind | undefined;
  readonly tookMs: number | undefined;
  take(link: Link, bytes: Uint8Array): void;
  leave(link: Link): void;
}

/** A tab's place on a relay. */
export class Link implements Shared {
  readonly sink: Sink;
  /** The session's aliases, by the tab's. */
  readonly aliases = new Map<number, number>();
  /** The request of a hello that waits for its welcome. */
  hello: number | undefined;
  readonly #relay: LinkRelay;

  constructor(relay: LinkRelay, sink: Sink) {
    this.#relay = relay;
    this.sink = sink;
  }

  get relay(): number {
    return this.#relay.number;
  }

  get kind(): TransportKind {
    return this.#relay.kind ?? "shared";
  }

  get tookMs(): number | undefined {
    return this.#relay.tookMs;
  }

  send(message: Uint8Array): void {
    this.#relay.take(this, message);
  }

  close(): void {
    this.#relay.leave(this);
  }
}

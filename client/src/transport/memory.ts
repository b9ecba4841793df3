// A gateway and its clients in one process: for tests, and for showing a page without a network.
// Bytes are copied, each stream keeps its order and streams overtake one another, all from one seed and one clock.

import type { Clock } from "../session/clock.js";
import { inOrder, type Scattering, type ScatteringSink } from "./datagrams/order.js";
import type { ConnectInfo, Sink, Transport } from "./transport.js";

/** How the network behaves. Everything may be changed while it runs. */
export interface MemoryWeather {
  /** One way, in milliseconds. */
  latencyMs: readonly [least: number, most: number];
  /** The share of datagrams that are lost, and of those that come twice; streams lose nothing. */
  loss: number;
  doubling: number;
  /** Dials fail. */
  refusing: boolean;
  /** Nothing arrives any more, and nobody is told. */
  silent: boolean;
}

/** The gateway's side of a connection. */
export interface MemoryPeer {
  message(bytes: Uint8Array): void;
  /** A run of delimited frames. */
  datagram(run: Uint8Array): void;
  closed(): void;
}

/** What the gateway does to a connection. */
export interface MemoryLink {
  /** A `ServerMessage` on the control stream. */
  send(bytes: Uint8Array): void;
  /** A stream of its own for frames. */
  open(): (bytes: Uint8Array) => void;
  /** A run of delimited frames. */
  datagram(run: Uint8Array): void;
  close(): void;
}

type Lane = (arrive: () => void) => void;

/** A network with one gateway on it. */
export class MemoryNetwork {
  readonly weather: MemoryWeather = {
    latencyMs: [1, 1],
    loss: 0,
    doubling: 0,
    refusing: false,
    silent: false,
  };
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #accept: (link: MemoryLink) => MemoryPeer;
  readonly #open = new Set<(cause: unknown) => void>();

  constructor(clock: Clock, random: () => number, accept: (link: MemoryLink) => MemoryPeer) {
    this.#clock = clock;
    this.#random = random;
    this.#accept = accept;
  }

  /** The clients' way in. */
  readonly transport: Transport = {
    kind: "memory",
    lack: () => undefined,
    dial: (_info: ConnectInfo, sink: Sink) =>
      inOrder(sink, this.#clock, (scattered) => this.#dial(scattered)),
  };

  /** Breaks every connection; what was on its way is lost. */
  cut(): void {
    for (const end of [...this.#open]) end("cut");
  }

  #dial(sink: ScatteringSink): Scattering {
    const up = this.#lane();
    const down = this.#lane();
    let peer: MemoryPeer | undefined;
    let ended = false;
    const end = (cause: unknown): void => {
      if (ended) return;
      ended = true;
      this.#open.delete(end);
      peer?.closed();
      sink.closed(cause);
    };
    const to = (lane: Lane, bytes: Uint8Array, take: (bytes: Uint8Array) => void): void => {
      const copy = bytes.slice();
      lane(() => {
        if (!ended) take(copy);
      });
    };
    /** Each is lost, doubled and late on its own. */
    const scatter = (bytes: Uint8Array, take: (bytes: Uint8Array) => void): void => {
      if (this.#random() < this.weather.loss) return;
      to(this.#lane(), bytes, take);
      if (this.#random() < this.weather.doubling) to(this.#lane(), bytes, take);
    };
    const link: MemoryLink = {
      send: (bytes) => to(down, bytes, sink.message),
      open: () => {
        const lane = this.#lane();
        return (bytes) => to(lane, bytes, sink.frame);
      },
      datagram: (run) => scatter(run, sink.datagram),
      close: () => down(() => end("closed by the gateway")),
    };
    this.#open.add(end);
    up(() => {
      if (ended) return;
      if (this.weather.refusing) return end("refused");
      peer = this.#accept(link);
      down(() => sink.opened());
    });
    return {
      kind: "memory",
      send: (bytes) => to(up, bytes, (copy) => peer?.message(copy)),
      datagram: (bytes) => scatter(bytes, (copy) => peer?.datagram(copy)),
      close: () => {
        end("closed by the client");
      },
    };
  }

  /** Things that arrive in the order in which they were sent, each after a delay of its own. */
  #lane(): Lane {
    let last = 0;
    return (arrive) => {
      const [least, most] = this.weather.latencyMs;
      const now = this.#clock.now();
      last = Math.max(last, now + least + (most - least) * this.#random());
      this.#clock.after(last - now, () => {
        if (!this.weather.silent) arrive();
      });
    };
  }
}

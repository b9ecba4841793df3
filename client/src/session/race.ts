// Dials several transports for one attempt: the first at once, each other one after a head start of the one before it, or
// as soon as that fails. Whoever opens first wins and the others are hung up. Says `closed` once, when nobody is left.

import type {
  ConnectInfo,
  Connection,
  Plan,
  Sink,
  Transport,
  TransportKind,
} from "../transport/transport.js";
import type { Clock } from "./clock.js";
import { HEAD_START_MS } from "./model.js";

/** A race that is being run, and then the connection that won it. */
export class Race {
  readonly #info: ConnectInfo;
  readonly #plan: Plan;
  readonly #clock: Clock;
  readonly #sink: Sink;
  readonly #runners = new Map<Transport, Connection>();
  readonly #headStart: number;
  #waiting: Transport[];
  #callOff: () => void;
  #winner: Connection | undefined;
  #over = false;
  /** When the winner started. */
  dialledAt = 0;

  constructor(
    info: ConnectInfo,
    transports: readonly Transport[],
    plan: Plan,
    clock: Clock,
    sink: Sink,
  ) {
    const { first, last, othersAfterMs } = plan;
    this.#plan = plan;
    this.#info = info;
    this.#clock = clock;
    this.#sink = sink;
    this.#headStart = othersAfterMs ?? HEAD_START_MS;
    const rank = ({ kind }: Transport): number =>
      kind === first ? 0 : last.includes(kind) ? 2 : 1;
    const able = transports.filter((one) => one.lack(info) === undefined);
    this.#waiting = able.sort((a, b) => rank(a) - rank(b));
    if (othersAfterMs === undefined && able[0]?.kind === first) this.#waiting = able.slice(0, 1);
    // Not now: nothing may be told before the constructor has returned.
    this.#callOff = clock.after(0, () => this.#start());
  }

  /** The carrier that won. */
  get kind(): TransportKind | undefined {
    return this.#winner?.kind;
  }

  /** Sends a datagram; undefined where the carrier has none. */
  get datagram(): Connection["datagram"] {
    return this.#winner?.datagram;
  }

  send(message: Uint8Array): void {
    this.#winner?.send(message);
  }

  close(): void {
    this.#over = true;
    this.#callOff();
    for (const runner of this.#runners.values()) runner.close();
    this.#runners.clear();
  }

  /** The next one starts, and the one after it follows. */
  #start(): void {
    this.#callOff();
    const transport = this.#waiting.shift();
    if (transport) this.#dial(transport);
    else if (this.#runners.size === 0) this.#end(undefined);
    if (this.#waiting.length > 0) {
      this.#callOff = this.#clock.after(this.#headStart, () => this.#start());
    }
  }

  #dial(transport: Transport): void {
    const startedAt = this.#clock.now();
    /** What a runner that was hung up, or has hung up, still says is of no interest. */
    const hear =
      <T extends readonly unknown[]>(tell: (...what: T) => void) =>
      (...what: T): void => {
        if (this.#runners.has(transport)) tell(...what);
      };
    const { message, frame, datagram } = this.#sink;
    const sink: Sink = {
      opened: hear(() => this.#opened(transport, startedAt)),
      message: hear(message),
      frame: hear(frame),
      datagram: hear(datagram),
      closed: hear((cause) => this.#closed(transport, cause)),
    };
    try {
      this.#runners.set(transport, transport.dial(this.#info, sink, this.#plan));
    } catch (error) {
      // A URL that the browser does not like throws at once.
      this.#closed(transport, error);
    }
  }

  #opened(transport: Transport, startedAt: number): void {
    this.#callOff();
    this.#waiting = [];
    this.#winner = this.#runners.get(transport);
    const tookMs = this.#winner?.tookMs;
    this.dialledAt = tookMs === undefined ? startedAt : this.#clock.now() - tookMs;
    for (const [other, runner] of this.#runners) {
      if (other === transport) continue;
      runner.close();
      this.#runners.delete(other);
    }
    this.#sink.opened();
  }

  #closed(transport: Transport, cause: unknown): void {
    this.#runners.delete(transport);
    if (this.#waiting.length > 0) this.#start();
    else if (this.#runners.size === 0) this.#end(cause);
  }

  #end(cause: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#callOff();
    this.#sink.closed(cause);
  }
}

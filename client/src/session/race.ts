// Dials several transports for one attempt: the first at once, the others after a head start or as soon as it fails.
// Whoever opens first wins and the others are hung up. Says `closed` once, when nobody is left.

import type {
  ConnectInfo,
  Connection,
  Plan,
  Sink,
  Transport,
  TransportKind,
} from "../transport/transport.js";
import type { Clock } from "./clock.js";

/** A race that is being run, and then the connection that won it. */
export class Race {
  readonly #info: ConnectInfo;
  readonly #plan: Plan;
  readonly #clock: Clock;
  readonly #sink: Sink;
  readonly #runners = new Map<Transport, Connection>();
  #waiting: Transport[];
  #callOff: (() => void) | undefined;
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
    this.#info = info;
    this.#plan = plan;
    this.#clock = clock;
    this.#sink = sink;
    const able = transports.filter((one) => one.lack(info) === undefined);
    const loved = able.filter((one) => one.kind === plan.first);
    const line = [...loved, ...able.filter((one) => one.kind !== plan.first)];
    const alone = plan.othersAfterMs === undefined && loved.length > 0;
    this.#waiting = alone ? loved : line;
    const headStart = plan.othersAfterMs;
    if (headStart !== undefined && this.#waiting.length > 1) {
      this.#callOff = clock.after(headStart, () => this.#start(this.#waiting.length));
    }
    // Not now: nothing may be told before the constructor has returned.
    const soon = clock.after(0, () => this.#start(1));
    const before = this.#callOff;
    this.#callOff = () => {
      before?.();
      soon();
    };
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
    this.#callOff?.();
    for (const runner of this.#runners.values()) runner.close();
    this.#runners.clear();
  }

  #start(count: number): void {
    for (const transport of this.#waiting.splice(0, count)) {
      const startedAt = this.#clock.now();
      try {
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
        const connection = transport.dial(this.#info, sink, this.#plan);
        this.#runners.set(transport, connection);
      } catch (error) {
        // A URL that the browser does not like throws at once.
        this.#closed(transport, error);
      }
    }
    if (this.#runners.size === 0 && this.#waiting.length === 0) {
      this.#closed(undefined);
    }
  }

  #opened(transport: Transport, startedAt: number): void {
    this.#callOff?.();
    this.#waiting = [];
    this.#winner = this.#runners.get(transport);
    const tookMs = this.#winner?.tookMs;
    this.dialledAt = tookMs === undefined ? startedAt : this.#clock.now() - tookMs;
    for (const [other, runner] of this.#runners) if (other !== transport) runner.close();
    this.#runners.clear();
    if (this.#winner) this.#runners.set(transport, this.#winner);
    this.#sink.opened();
  }

  #closed(transport: Transport | undefined, cause?: unknown): void {
    if (this.#over) return;
    if (transport) this.#runners.delete(transport);
    if (this.#waiting.length > 0) {
      this.#start(this.#waiting.length);
    } else if (this.#runners.size === 0) {
      this.#over = true;
      this.#callOff?.();
      this.#sink.closed(cause);
    }
  }
}

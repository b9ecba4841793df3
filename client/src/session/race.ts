// Dials several transports for one attempt: the first at once, each other one after a head start of the one before it, or
// as soon as that fails. SSE alone is dialled again where it fails beside another. Whoever opens first wins and the others
// are hung up. Says `closed` once, when nobody is left.

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
export interface Race extends Pick<Connection, "send" | "close"> {
  /** The carrier that won. */
  readonly kind: TransportKind | undefined;
  /** When the winner started. */
  readonly dialledAt: number;
}

/** Begins a race. Nothing is told before this has returned. */
export function race(
  info: ConnectInfo,
  transports: readonly Transport[],
  plan: Plan,
  clock: Clock,
  sink: Sink,
): Race {
  const { first, last, othersAfterMs } = plan;
  const rank = ({ kind, isWeary }: Transport): number =>
    isWeary?.() ? 3 : kind === first ? 0 : last.includes(kind) ? 2 : 1;
  const able = transports.filter((one) => one.lack(info) === undefined);
  let waiting = able.sort((a, b) => rank(a) - rank(b));
  if (othersAfterMs === undefined && able[0]?.kind === first) waiting = able.slice(0, 1);
  const runners = new Map<Transport, Connection>();
  let winner: Connection | undefined;
  let dialledAt = 0;
  let over = false;
  let callOff = clock.after(0, start);

  /** The next one starts, and the one after it follows. */
  function start(): void {
    callOff();
    const transport = waiting.shift();
    if (transport) dial(transport);
    else if (runners.size === 0) end();
    if (waiting.length > 0) callOff = clock.after(othersAfterMs ?? HEAD_START_MS, start);
  }

  function dial(transport: Transport): void {
    const startedAt = clock.now();
    /** What a runner that was hung up, or has hung up, still says is of no interest. */
    const hear =
      <T extends readonly unknown[]>(tell: (...what: T) => void) =>
      (...what: T): void => {
        if (runners.has(transport)) tell(...what);
      };
    const closed = (cause: unknown): void => {
      runners.delete(transport);
      if (waiting.length > 0) start();
      else if (runners.size === 0) end(cause);
      else if (transport.kind === "sse") {
        // Firefox holds WebSockets back after failures, and does not tell: beside one, what it never holds back is tried again.
        waiting = [transport];
        callOff = clock.after(othersAfterMs ?? HEAD_START_MS, start);
      }
    };
    const ears: Sink = {
      opened: hear(() => {
        callOff();
        waiting = [];
        winner = runners.get(transport);
        const tookMs = winner?.tookMs;
        dialledAt = tookMs === undefined ? startedAt : clock.now() - tookMs;
        for (const [other, runner] of runners) {
          if (other === transport) continue;
          runner.close();
          runners.delete(other);
        }
        sink.opened();
      }),
      message: hear(sink.message),
      frame: hear(sink.frame),
      closed: hear(closed),
    };
    try {
      runners.set(transport, transport.dial(info, ears, plan));
    } catch (error) {
      // A URL that the browser does not like throws at once.
      closed(error);
    }
  }

  function end(cause?: unknown): void {
    if (over) return;
    over = true;
    callOff();
    sink.closed(cause);
  }

  return {
    get kind() {
      return winner?.kind;
    },
    get dialledAt() {
      return dialledAt;
    },
    send: (message) => winner?.send(message),
    close() {
      over = true;
      callOff();
      for (const runner of runners.values()) runner.close();
      runners.clear();
    },
  };
}

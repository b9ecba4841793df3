// What a user asks of a client, and what the client tells of itself. Types only.

import type { TokenwayError } from "./errors.js";
import type { Clock } from "./session/clock.js";
import type { From } from "./session/cursor.js";
import type { Phase } from "./session/model.js";
import type { Recovery } from "./session/recovery.js";
import type { Tokens } from "./session/tokens.js";
import type { Schedule } from "./store.js";
import type { ConnectInfo, Transport, TransportKind } from "./transport/transport.js";
import type { Delivery, Welcome } from "./wire/session.js";

/** How to connect. */
export interface ConnectOptions {
  /** The gateway's origin; `GET /v1/connect/info` there says the rest. */
  readonly url?: string | URL;
  /** Or what that would say. */
  readonly info?: ConnectInfo;
  /** Channel tokens, or a function that fetches them and is asked again before they expire; none in open mode. */
  readonly tokens?: Tokens;
  /** How often frames are wanted, 0 to 500 ms; the gateway's default otherwise. */
  readonly frameIntervalMs?: number;
  /** Carriers in the order of preference: WebTransport, WebSocket, SSE, long polling by default. */
  readonly transports?: readonly Transport[];
  /**
   * Tabs of one origin share one connection where the browser has Web Locks and BroadcastChannel: those that connect to
   * the same gateway with the same tokens and options. A text names the user instead of the tokens, for apps whose tabs
   * have or fetch tokens of their own: then each tab's tokens serve all tabs of that name. `false` shares nothing, and so
   * do tokens that are fetched where no name is given.
   */
  readonly share?: boolean | string;
  /** Time, for tests. */
  readonly clock?: Clock;
  /** Chance in [0, 1), for tests. */
  readonly random?: () => number;
  /** When stores tell their listeners: in the next animation frame by default. */
  readonly schedule?: Schedule;
}

/** How to subscribe. */
export interface SubscribeOptions {
  /** `beginning` by default. */
  readonly from?: From;
  /**
   * `datagram` shows the newest at once on a network that loses packets, and costs repetitions; where the carrier has no
   * datagrams it is `stream`, the default.
   */
  readonly delivery?: Delivery;
}

/** The session at one moment. */
export interface ClientSnapshot {
  /** `asleep`: the page is frozen or put away, and connects again when it is back. */
  readonly state: Phase["name"];
  /** Undefined while not live. */
  readonly transport: TransportKind | undefined;
  /** Whether this tab holds the connection for others or uses another tab's; undefined while it shares none. */
  readonly shared: "leads" | "follows" | undefined;
  /** Of the last ping that was answered, in milliseconds. */
  readonly rttMs: number | undefined;
  /** What the gateway said of itself. */
  readonly welcome: Welcome | undefined;
  /** The last ones, oldest first. */
  readonly recoveries: readonly Recovery[];
  /**
   * While not live: why the last attempt to connect came to nothing, or the connection before was lost, as far as that is
   * known. What a fetch of tokens threw is here, too.
   */
  readonly failure: unknown;
  /** Why the session is over, unless it was closed by `Client.close`. */
  readonly error: TokenwayError | undefined;
}

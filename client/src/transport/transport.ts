// The seam between the session and whatever carries its bytes.
// A transport knows how messages are laid on its carrier and nothing of what they say.

/**
 * The carriers that this client knows. `shared` while it is not known yet what carries a shared connection; `memory` is
 * none, for tests.
 */
export type TransportKind = "webtransport" | "websocket" | "sse" | "longpoll" | "shared" | "memory";

/** In which order carriers are tried. */
export interface Order {
  /** The one to begin with. */
  readonly first: TransportKind | undefined;
  /** Those to end with: nothing came of them on this network. */
  readonly last: readonly TransportKind[];
  /** How long after the one before it each of the others follows; undefined: not at all. */
  readonly othersAfterMs: number | undefined;
}

/** How to dial. */
export interface Plan extends Order {
  /** A channel token, for carriers whose gateway wants one before the first message. */
  readonly token?: string | undefined;
}

/** `GET /v1/connect/info`: where the gateway listens. */
export interface ConnectInfo {
  /** Where WebTransport is; null where the gateway has it not. */
  readonly webtransport: {
    /** Its URL. */
    readonly url: string;
    /** SHA-256 of acceptable certificates, lower-case hexadecimal; empty with a public certificate. */
    readonly certificate_hashes: readonly string[];
  } | null;
  /** The WebSocket URL. */
  readonly websocket: string | null;
  /** What the URLs of channels begin with: there are their events, by SSE and by long poll. */
  readonly sse: string | null;
  /** `tokenway.v1`. */
  readonly protocol: string;
}

/**
 * What a connection tells. Nothing is called during `dial`; after `closed` or `Connection.close` nobody listens. Bytes are
 * lent for the call: a carrier reads into the same buffer again.
 */
export interface Sink {
  /** Messages can be sent now. */
  readonly opened: () => void;
  /** A `ServerMessage`. */
  readonly message: (bytes: Uint8Array) => void;
  /** A `Frame` from a stream of its own; of each subscription in order, also where it came by datagram. */
  readonly frame: (bytes: Uint8Array, byDatagram?: boolean) => void;
  /** The connection is gone. */
  readonly closed: (cause: unknown) => void;
}

/** One connection, open or being opened. */
export interface Connection {
  /** Which carrier it is. */
  readonly kind: TransportKind;
  /** How long its carrier took to open, where that is not the time since the dial. */
  readonly tookMs?: number | undefined;
  /** Sends one `ClientMessage`. Does nothing once the connection is gone. */
  send(message: Uint8Array): void;
  /** Ends it at once, without a goodbye. */
  close(): void;
}

/** A way to reach the gateway. */
export interface Transport {
  /** Which carrier it is. */
  readonly kind: TransportKind;
  /** What keeps this runtime and this gateway from using it; without an info, what keeps the runtime. */
  lack(info: ConnectInfo | undefined): string | undefined;
  /** Whether it has come to nothing so often that every other one comes before it. */
  isWeary?(): boolean | undefined;
  /** Begins to load what dialling needs, if that is not there already. */
  load?(): Promise<unknown>;
  /** Begins to connect. The plan's order is for those that dial others. */
  dial(info: ConnectInfo, sink: Sink, plan: Plan): Connection;
}

/** The URL with a token, where headers cannot be set. */
export function withToken(url: string, token: string | undefined): string {
  return token ? `${url}${url.includes("?") ? "&" : "?"}token=${encodeURIComponent(token)}` : url;
}

// The seam between the session and whatever carries its bytes.
// A transport knows how messages are laid on its carrier and nothing of what they say.

/** The carriers that this client knows; `shared` while it is not known yet what carries a shared connection. */
export type TransportKind = "webtransport" | "websocket" | "memory" | "shared";

/** In which order carriers are tried: the one of this kind first, the others after so long, or not at all. */
export interface Plan {
  readonly first: TransportKind | undefined;
  readonly othersAfterMs: number | undefined;
}

/** `GET /v1/connect/info`: where the gateway listens. */
export interface ConnectInfo {
  readonly webtransport: {
    readonly url: string;
    /** SHA-256 of acceptable certificates, lower-case hexadecimal; empty with a public certificate. */
    readonly certificate_hashes: readonly string[];
  } | null;
  readonly websocket: string | null;
  readonly sse: string | null;
  readonly protocol: string;
}

/** What a connection tells. Nothing is called during `dial`; after `closed` or `Connection.close` nobody listens. */
export interface Sink {
  /** Messages can be sent now. */
  readonly opened: () => void;
  /** A `ServerMessage`. */
  readonly message: (bytes: Uint8Array) => void;
  /** A `Frame` from a stream of its own. */
  readonly frame: (bytes: Uint8Array) => void;
  /** A datagram: a run of delimited frames. Some come late, twice, or never. */
  readonly datagram: (bytes: Uint8Array) => void;
  /** The connection is gone. */
  readonly closed: (cause: unknown) => void;
}

/** One connection, open or being opened. */
export interface Connection {
  readonly kind: TransportKind;
  /** How long its carrier took to open, where that is not the time since the dial. */
  readonly tookMs?: number | undefined;
  /** Sends one `ClientMessage`. Does nothing once the connection is gone. */
  send(message: Uint8Array): void;
  /** Sends one datagram, or loses it. Missing where the carrier has none. */
  readonly datagram?: ((bytes: Uint8Array) => void) | undefined;
  /** Ends it at once, without a goodbye. */
  close(): void;
}

/** Why a transport cannot be used, and what would change that. */
export interface Lack {
  readonly reason: string;
  readonly remedy: string;
}

/** A way to reach the gateway. */
export interface Transport {
  readonly kind: TransportKind;
  /** What keeps this runtime and this gateway from using it; without an info, what keeps the runtime. */
  lack(info: ConnectInfo | undefined): Lack | undefined;
  /** `plan` is for those that dial others. */
  dial(info: ConnectInfo, sink: Sink, plan: Plan): Connection;
}

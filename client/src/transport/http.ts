// Server-sent events and the long poll: what is left where neither WebTransport nor WebSocket gets through. What they
// do is loaded once it is needed: most pages never do.

import type { ConnectInfo, Connection, Sink, Transport } from "./transport.js";

/** The SSE transport: each channel is a response that goes on, and requests are requests. */
export const sse: Transport = carrier("sse");
/** The long-polling transport, for networks on which nothing streams. */
export const longpoll: Transport = carrier("longpoll");

function carrier(kind: "sse" | "longpoll"): Transport {
  return {
    kind,
    lack: (info) => (info?.sse === null ? "the gateway offers no SSE" : undefined),
    dial: (info, sink, { token }) => new Lazy(kind, info, sink, token),
  };
}

class Lazy implements Connection {
  readonly kind: "sse" | "longpoll";
  #over = false;
  #connection: Connection | undefined;

  constructor(kind: "sse" | "longpoll", info: ConnectInfo, sink: Sink, token: string | undefined) {
    this.kind = kind;
    import("./http/connection.js")
      .then(({ HttpConnection }) => {
        if (!this.#over) this.#connection = new HttpConnection(kind, info.sse ?? "", sink, token);
      })
      .catch(sink.closed);
  }

  send(message: Uint8Array): void {
    this.#connection?.send(message);
  }

  close(): void {
    this.#over = true;
    this.#connection?.close();
  }
}

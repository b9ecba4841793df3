// WebSocket: a binary message is a run of length-delimited messages, frames and control alike.

import { Deframer, delimit } from "../wire/framing.js";
import { CUT_SHORT, WireError } from "../wire/protobuf.js";
import { SUBPROTOCOL } from "../wire/session.js";
import { type Connection, type Sink, type Transport, withToken } from "./transport.js";

/** The WebSocket transport. */
export const websocket: Transport = {
  kind: "websocket",
  lack: (info) =>
    typeof WebSocket === "undefined"
      ? "this runtime has no WebSocket"
      : info?.websocket === null
        ? "the gateway offers no WebSocket"
        : undefined,
  dial: (info, sink, { token }) =>
    new WebSocketConnection(withToken(info.websocket ?? "", token), sink),
};

class WebSocketConnection implements Connection {
  readonly kind = "websocket";
  readonly #sink: Sink;
  readonly #socket: WebSocket;

  constructor(url: string, sink: Sink) {
    this.#sink = sink;
    this.#socket = new WebSocket(url, SUBPROTOCOL);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = sink.opened;
    this.#socket.onmessage = (event: MessageEvent<unknown>) => this.#take(event.data);
    this.#socket.onclose = sink.closed;
    // An error says nothing; the close that always follows it does.
    this.#socket.onerror = null;
  }

  send(message: Uint8Array): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(delimit(message) as Uint8Array<ArrayBuffer>);
  }

  close(): void {
    this.#socket.close();
  }

  #take(data: unknown): void {
    try {
      if (!(data instanceof ArrayBuffer)) throw new WireError("a message is not binary");
      const deframer = new Deframer();
      const messages = deframer.push(new Uint8Array(data));
      if (deframer.partial) throw new WireError(CUT_SHORT);
      for (const message of messages) this.#sink.message(message);
    } catch (error) {
      this.#sink.closed(error);
      this.#socket.close();
    }
  }
}

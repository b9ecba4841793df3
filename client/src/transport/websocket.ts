// WebSocket: a binary message is a run of length-delimited messages, frames and control alike.

import { Deframer, delimit } from "../wire/framing.js";
import { CUT_SHORT, WireError } from "../wire/protobuf.js";
import { SUBPROTOCOL } from "../wire/session.js";
import { type ConnectInfo, type Connection, type Plan, type Sink, withToken } from "./transport.js";

/** Dials it. */
export function dial({ websocket }: ConnectInfo, sink: Sink, { token }: Plan): Connection {
  const { href } = new URL(withToken(websocket ?? "", token), globalThis.location?.href);
  // Not every browser takes an http URL for a WebSocket's.
  return open(href.replace(/^http/, "ws"), sink);
}

function open(url: string, sink: Sink): Connection {
  const socket = new WebSocket(url, SUBPROTOCOL);
  socket.binaryType = "arraybuffer";
  socket.onopen = sink.opened;
  socket.onclose = sink.closed;
  // An error says nothing; the close that always follows it does.
  socket.onmessage = ({ data }: MessageEvent<unknown>) => {
    try {
      if (!(data instanceof ArrayBuffer)) throw new WireError("a message is not binary");
      const deframer = new Deframer();
      const messages = deframer.push(new Uint8Array(data));
      if (deframer.partial) throw new WireError(CUT_SHORT);
      messages.forEach(sink.message);
    } catch (error) {
      sink.closed(error);
      socket.close();
    }
  };
  return {
    kind: "websocket",
    send(message) {
      if (socket.readyState === WebSocket.OPEN) {
        socket.send(delimit(message) as Uint8Array<ArrayBuffer>);
      }
    },
    close: () => socket.close(),
  };
}

// The carriers that a client tries, in this order. What a carrier does is loaded once it is dialled: a page pays for the
// one that it uses.

import type { ConnectInfo, Connection, Plan, Sink, Transport, TransportKind } from "./transport.js";

/** The code of a carrier. */
interface Carrier {
  dial(info: ConnectInfo, sink: Sink, plan: Plan, kind: TransportKind): Connection;
  isWeary?(): boolean;
}

/** The WebTransport transport. */
export const webtransport = carrier(
  "webtransport",
  () => import("./webtransport.js"),
  "WebTransport",
);
/** The WebSocket transport. */
export const websocket = carrier("websocket", () => import("./websocket.js"), "WebSocket");

const http = () => import("./http/connection.js");
/** The SSE transport: each channel is a response that goes on, and requests are requests. */
export const sse = carrier("sse", http);
/** The long-polling transport, for networks on which nothing streams. */
export const longpoll = carrier("longpoll", http);

function carrier(kind: TransportKind, load: () => Promise<Carrier>, api = "fetch"): Transport {
  let code: Carrier | undefined;
  return {
    kind,
    load,
    isWeary: () => code?.isWeary?.(),
    lack(info) {
      if (!(globalThis as Record<string, unknown>)[api]) return `no ${api} in this runtime`;
      const offer = kind === "webtransport" || kind === "websocket" ? kind : "sse";
      return info?.[offer] === null ? `no ${offer} at the gateway` : undefined;
    },
    dial(info, sink, plan) {
      let inner: Connection | undefined;
      let over = false;
      let tookMs = 0;
      load()
        .then((loaded) => {
          code = loaded;
          if (over) return;
          const begun = performance.now();
          const opened = (): void => {
            tookMs = performance.now() - begun;
            sink.opened();
          };
          inner = loaded.dial(info, { ...sink, opened }, plan, kind);
        })
        .catch(sink.closed);
      return {
        kind,
        get tookMs() {
          return tookMs;
        },
        send: (message) => inner?.send(message),
        close() {
          over = true;
          inner?.close();
        },
      };
    },
  };
}

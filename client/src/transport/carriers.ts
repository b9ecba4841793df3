// The carriers that a client tries, in this order. What a carrier does is loaded once it is dialled: a page pays for the
// one that it uses.

import type { ConnectInfo, Connection, Plan, Sink, Transport, TransportKind } from "./transport.js";

/** The code of a carrier. */
interface Carrier {
  dial(info: ConnectInfo, sink: Sink, plan: Plan, kind: TransportKind): Connection;
}

/**
 * Chromium refuses a page's sessions once 64 of them are pending, and counts those that failed for minutes. So many, in
 * so many milliseconds, may come to nothing; then the other carriers have the page to themselves for a while.
 */
export const FRUITLESS_MAX = 48;
const FRUITLESS_MS = 300_000;
/** When each WebTransport session of this page was dialled that is not open or never was. */
let fruitless: number[] = [];

/** The WebTransport transport. */
export const webtransport = carrier(
  "webtransport",
  () => import("./webtransport.js"),
  (info) => {
    if (typeof WebTransport === "undefined") return "this runtime has no WebTransport";
    if (info?.webtransport === null) return "the gateway offers no WebTransport";
    fruitless = fruitless.filter((at) => at > performance.now() - FRUITLESS_MS);
    return fruitless.length < FRUITLESS_MAX ? undefined : "WebTransport came to nothing too often";
  },
);

/** The WebSocket transport. */
export const websocket = carrier(
  "websocket",
  () => import("./websocket.js"),
  (info) => {
    if (typeof WebSocket === "undefined") return "this runtime has no WebSocket";
    return info?.websocket === null ? "the gateway offers no WebSocket" : undefined;
  },
);

const http = () => import("./http/connection.js");
const noHttp = (info: ConnectInfo | undefined): string | undefined =>
  info?.sse === null ? "the gateway offers no SSE" : undefined;

/** The SSE transport: each channel is a response that goes on, and requests are requests. */
export const sse = carrier("sse", http, noHttp);
/** The long-polling transport, for networks on which nothing streams. */
export const longpoll = carrier("longpoll", http, noHttp);

function carrier(
  kind: TransportKind,
  load: () => Promise<Carrier>,
  lack: Transport["lack"],
): Transport {
  return {
    kind,
    lack,
    load,
    dial(info, sink, plan) {
      let inner: Connection | undefined;
      let over = false;
      let begun: number;
      let tookMs = 0;
      const opened = (): void => {
        tookMs = performance.now() - begun;
        fruitless = fruitless.filter((at) => at !== begun);
        sink.opened();
      };
      load()
        .then(({ dial }) => {
          if (over) return;
          begun = performance.now();
          if (kind === "webtransport") fruitless.push(begun);
          inner = dial(info, { ...sink, opened }, plan, kind);
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

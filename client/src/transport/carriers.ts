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
  "WebTransport",
  () => {
    fruitless = fruitless.filter((at) => at > performance.now() - FRUITLESS_MS);
    return fruitless.length < FRUITLESS_MAX;
  },
);
/** The WebSocket transport. */
export const websocket = carrier("websocket", () => import("./websocket.js"), "WebSocket");

const http = () => import("./http/connection.js");
/** The SSE transport: each channel is a response that goes on, and requests are requests. */
export const sse = carrier("sse", http);
/** The long-polling transport, for networks on which nothing streams. */
export const longpoll = carrier("longpoll", http);

function carrier(
  kind: TransportKind,
  load: () => Promise<Carrier>,
  api = "fetch",
  usable = () => true,
): Transport {
  return {
    kind,
    load,
    lack(info) {
      if (!(globalThis as Record<string, unknown>)[api]) return `no ${api} in this runtime`;
      const offer = kind === "webtransport" || kind === "websocket" ? kind : "sse";
      if (info?.[offer] === null) return `no ${offer} at the gateway`;
      return usable() ? undefined : `${kind} fails too often`;
    },
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

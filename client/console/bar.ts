// The bar at the top: what carries the tokens, how it is, and the two ways to break it.

import type { Client, ClientSnapshot, Recovery } from "../src/index.js";
import { announce, byId, count, duration, say } from "./dom.js";

const NAMES = {
  webtransport: "WebTransport",
  websocket: "WebSocket",
  sse: "Server-sent events",
  longpoll: "Long polling",
  memory: "In memory",
  shared: "Another tab's",
} as const;
/** A live connection that has not been for longer than this is not worth a change of colours. */
const RECOVERIES_SHOWN = 24;

/** Makes the bar live; gives the function that tells it what the cards add up to. */
export function bar(client: Client): (running: number, rate: number) => void {
  const pill = byId("pill", HTMLElement);
  let since = performance.now();
  let offUntil = 0;
  let last: ClientSnapshot["state"] = "idle";
  let shown = 0;

  const drop = (offMs: number): void => {
    offUntil = performance.now() + offMs;
    client.dropConnection(offMs);
  };
  byId("drop", HTMLButtonElement).addEventListener("click", () => drop(0));
  byId("drop5", HTMLButtonElement).addEventListener("click", () => drop(5_000));

  const render = (): void => {
    const status = client.status.getSnapshot();
    const live = status.state === "live";
    if (live !== (last === "live")) {
      since = performance.now();
      if (live) announce(`Connected over ${NAMES[status.transport ?? "memory"]}`);
      else if (last !== "idle") announce("Connection lost, reconnecting");
    }
    last = status.state;
    pill.dataset.state = status.state;
    document.documentElement.dataset.link = live ? "up" : "down";
    const [text, time = ""] = words(status, offUntil, since);
    say(byId("pill-text", HTMLElement), text);
    say(byId("pill-time", HTMLElement), time);
    byId("pill-time", HTMLElement).hidden = time === "";
    pill.title = status.error?.message ?? status.welcome?.server ?? "";
    const { rttMs } = status;
    // What was measured before is not how it is while away.
    say(byId("rtt", HTMLElement), live && rttMs !== undefined ? duration(rttMs) : "–");
    if (!live) say(byId("rate", HTMLElement), "–");
    if (status.recoveries.length !== shown) {
      shown = status.recoveries.length;
      recoveries(status.recoveries);
    }
  };
  client.status.subscribe(render);
  // While it is away, how long it has been is the news.
  setInterval(() => {
    if (last !== "live") render();
  }, 100);
  render();

  return (running, rate) => {
    say(byId("live", HTMLElement), count(running));
    if (last === "live") say(byId("rate", HTMLElement), count(Math.round(rate)));
  };
}

/** What the pill says, and for how long that has been so where it is worth telling. */
function words(status: ClientSnapshot, offUntil: number, since: number): [string, string?] {
  const now = performance.now();
  if (status.state === "live") return [NAMES[status.transport ?? "memory"]];
  if (status.state === "closed") return [status.error?.code.replaceAll("_", " ") ?? "Closed"];
  if (offUntil > now) return [`Back in ${((offUntil - now) / 1_000).toFixed(1)} s`];
  const away = now - since;
  if (status.recoveries.length === 0 && status.rttMs === undefined) return ["Connecting"];
  return away < 300 ? ["Reconnecting"] : ["Reconnecting", `${(away / 1_000).toFixed(1)} s`];
}

function recoveries(list: readonly Recovery[]): void {
  const latest = list.at(-1);
  say(byId("recovery", HTMLElement), latest ? duration(latest.recoveryMs) : "–");
  byId("trail", HTMLElement).hidden = list.length === 0;
  const items = list
    .slice(-RECOVERIES_SHOWN)
    .reverse()
    .map((one) => {
      const item = document.createElement("li");
      const time = document.createElement("b");
      time.textContent = duration(one.recoveryMs);
      const why = one.cause === "lost" ? " after a loss" : "";
      item.append(time, one.offMs > 0 ? ` after ${duration(one.offMs)} off` : why);
      item.title = `${duration(one.totalMs)} from the drop to the first news after it`;
      return item;
    });
  byId("recoveries", HTMLElement).replaceChildren(...items);
}

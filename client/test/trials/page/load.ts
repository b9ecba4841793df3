// Follows channels and shows them, as an app would, and measures how steadily the page draws. Without channels it is the
// empty page to compare with.

import { type ConnectInfo, connect } from "../../../src/index.js";
import { percentile } from "../table.js";

/** What the page did since `begin`. */
export interface Busy {
  readonly frames: number;
  /** Milliseconds from one frame to the next. */
  readonly frameP99: number;
  readonly frameMax: number;
  /** Tasks of more than 50 ms, as the browser counts them. */
  readonly longTasks: number;
  readonly tokens: number;
  /** How many of its channels have shown anything, ever. */
  readonly speaking: number;
}

declare global {
  interface Window {
    load?: { begin(): void; read(): Busy };
  }
}

/** What is shown of one text: the end of it, as much as its panel takes. A browser lays out the whole of what changed. */
const SHOWN_MAX = 240;

const plan: { info: ConnectInfo; channels: string[] } = JSON.parse(
  decodeURIComponent(location.hash.slice(1)),
);
let gaps: number[] = [];
let longTasks = 0;
let last = 0;
const frame = (at: number): void => {
  gaps.push(at - last);
  last = at;
  requestAnimationFrame(frame);
};
requestAnimationFrame((at) => {
  last = at;
  requestAnimationFrame(frame);
});
new PerformanceObserver((list) => {
  longTasks += list.getEntries().length;
}).observe({ type: "longtask" });

const events: (() => number)[] = [];
let before = 0;
if (plan.channels.length > 0) {
  const client = connect({ info: plan.info });
  document.body.style.cssText = "display: grid; grid-template-columns: repeat(10, 1fr)";
  for (const id of plan.channels) {
    const channel = client.subscribe(id);
    const place = document.createElement("p");
    place.style.cssText = "height: 8rem; overflow: hidden; contain: strict";
    const text = document.createTextNode("");
    place.append(text);
    document.body.append(place);
    let length = 0;
    channel.subscribe(() => {
      const now = channel.getSnapshot().generations[0]?.text;
      if (now === undefined || now.length === length) return;
      text.data = now.after(Math.max(0, now.length - SHOWN_MAX));
      length = now.length;
    });
    events.push(() => channel.metrics().events);
  }
}
const count = (): number => events.reduce((sum, one) => sum + one(), 0);

window.load = {
  begin: () => {
    gaps = [];
    longTasks = 0;
    before = count();
  },
  read: () => {
    return {
      frames: gaps.length,
      frameP99: percentile(gaps, 0.99),
      frameMax: percentile(gaps, 1),
      longTasks,
      tokens: count() - before,
      speaking: events.filter((one) => one() > 0).length,
    };
  },
};

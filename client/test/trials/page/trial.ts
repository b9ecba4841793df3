// The page that the trials look at: it follows one channel and shows it as an app would, and writes down what it showed
// and when. Its plan is in its URL, so a reload begins anew with the same.

import {
  type ConnectInfo,
  connect,
  type SubscribeOptions,
  sse,
  type Transport,
  type TransportKind,
  websocket,
  webtransport,
} from "../../../src/index.js";

/** What to do. */
export interface Plan {
  readonly info: ConnectInfo;
  /** Those that may be used, in the order of preference; it begins with the first, however slow the machine is. */
  readonly carriers: readonly TransportKind[];
  readonly channels: readonly string[];
  readonly delivery: NonNullable<SubscribeOptions["delivery"]>;
}

/** One channel, as shown. */
export interface Shown {
  readonly text: string;
  readonly seq: number;
  readonly epoch: string | undefined;
  readonly status: string;
  /** Of the newest generation. */
  readonly state: string | undefined;
  readonly error: string | undefined;
  /** Events that were rendered although an event of that epoch and seq, or a later one, had been. */
  readonly repeated: number;
  readonly duplicates: number;
  readonly gaps: number;
}

/** What happened so far. Times are of the wall clock, in milliseconds. */
export interface Diary {
  /** When this document began. */
  readonly began: number;
  readonly transport: string | undefined;
  readonly state: string;
  readonly channels: readonly Shown[];
  /** Each time something new was shown on the first channel, and up to which seq. */
  readonly renders: readonly (readonly [at: number, seq: number])[];
  /** The session's states. */
  readonly states: readonly (readonly [at: number, state: string])[];
  /** Why connections, or attempts, ended by themselves. */
  readonly ends: readonly (readonly [at: number, why: string])[];
  /** When the page was shown, and whether it came out of the back/forward cache. */
  readonly shows: readonly (readonly [at: number, persisted: boolean])[];
  /** From the provider's sending to being shown, for each token with a time, oldest first. */
  readonly delays: readonly number[];
}

declare global {
  interface Window {
    trial?: { diary(): Diary; forgetDelays(): void };
  }
}

const LINE_MAX = 400;

const now = (): number => performance.timeOrigin + performance.now();
const began = now();
const plan: Plan = JSON.parse(decodeURIComponent(location.hash.slice(1)));
let hasBegun = false;
const ends: [number, string][] = [];
const shows: [number, boolean][] = [];
addEventListener("pageshow", ({ persisted }) => shows.push([now(), persisted]));
const known: readonly Transport[] = [webtransport, websocket, sse].map((one) => ({
  ...one,
  lack: (info) =>
    hasBegun || one.kind === plan.carriers[0] ? one.lack(info) : "another one is to begin",
  dial: (info, sink, order) => {
    const closed = (cause: unknown): void => {
      ends.push([now(), `${one.kind}: ${cause}`]);
      sink.closed(cause);
    };
    return one.dial(info, { ...sink, closed }, order);
  },
}));
const client = connect({
  info: plan.info,
  transports: plan.carriers.flatMap((kind) => known.filter((one) => one.kind === kind)),
});

const states: [number, string][] = [[now(), client.status.getSnapshot().state]];
client.status.subscribe(() => {
  const { state } = client.status.getSnapshot();
  hasBegun ||= state === "live";
  if (states.at(-1)?.[1] !== state) states.push([now(), state]);
});

const renders: [number, number][] = [];
let delays: number[] = [];
const views = plan.channels.map((id, index) => follow(id, index));

function follow(id: string, index: number): () => Shown {
  const channel = client.subscribe(id, { delivery: plan.delivery });
  const place = document.createElement("section");
  document.body.append(place);
  let line = lineIn(place);
  /** Of each generation's text. */
  let lengths: number[] = [];
  let seq = 0;
  let pending = "";
  let repeated = 0;
  watch();
  channel.subscribe(() => {
    const snapshot = channel.getSnapshot();
    const texts = snapshot.generations.map(({ text }) => text);
    if (lengths.some((length, of) => (texts[of]?.length ?? 0) < length)) {
      // A snapshot of less than was shown: begin anew.
      place.textContent = "";
      line = lineIn(place);
      lengths = [];
    }
    const fresh = texts.map((text, of) => text.after(lengths[of] ?? 0)).join("");
    if (fresh === "") return;
    lengths = texts.map(({ length }) => length);
    // A browser lays out the whole of a paragraph that grows: a page that is not to slow down begins a new one.
    if (line.length > LINE_MAX) line = lineIn(place);
    line.appendData(fresh);
    const at = now();
    if (index === 0 && snapshot.seq > seq) renders.push([at, snapshot.seq]);
    seq = snapshot.seq;
    const tokens = (pending + fresh).split(" ");
    pending = tokens.pop() ?? "";
    for (const token of tokens) delays.push(at - Number(token.split("@")[1]));
  });

  /** Counts what is given twice, by what the iterator says and not by the client's own count. */
  async function watch(): Promise<void> {
    let last = 0;
    try {
      for await (const batch of channel) {
        if (batch.kind === "events") {
          if (batch.firstSeq <= last) repeated += last - batch.firstSeq + 1;
          last = Math.max(last, batch.firstSeq + batch.events.length - 1);
        } else if (batch.kind === "snapshot") last = batch.state.seq;
        else last = Math.min(last, batch.validThrough);
      }
    } catch {
      // The snapshot says it.
    }
  }

  return () => {
    const { seq: folded, epoch, status, error, generations } = channel.getSnapshot();
    const { duplicates, gaps } = channel.metrics();
    return {
      text: place.textContent ?? "",
      seq: folded,
      epoch,
      status,
      state: generations.at(-1)?.state,
      error: error?.code,
      repeated,
      duplicates,
      gaps,
    };
  };
}

function lineIn(place: Element): Text {
  const line = document.createTextNode("");
  const paragraph = document.createElement("p");
  paragraph.append(line);
  place.append(paragraph);
  return line;
}

window.trial = {
  diary: () => {
    const { state, transport } = client.status.getSnapshot();
    const channels = views.map((view) => view());
    return { began, transport, state, channels, renders, states, ends, shows, delays };
  },
  forgetDelays: () => {
    delays = [];
  },
};

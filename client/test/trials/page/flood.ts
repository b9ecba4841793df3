// A client that is fed from within the page, through a transport of the page's own: as fast as it takes it.

import { connect, type Sink, type Transport } from "../../../src/index.js";
import { ChannelEvent, Finished, Started } from "../../../src/wire/event.js";
import { End, Frame } from "../../../src/wire/frame.js";
import {
  ClientMessage,
  type Control,
  ServerMessage,
  type Subscribe,
  Subscribed,
  Welcome,
} from "../../../src/wire/session.js";

declare global {
  interface Window {
    flood?: {
      /** Feeds so many tokens, on channels of `CHANNEL_TOKENS` each. */
      begin(tokens: number): void;
      /** True once they are all folded. */
      done(): true | undefined;
      /** Tokens folded in all. */
      seen(): number;
      /** Makes the frames of one text, for `replay`. */
      prepare(tokens: number): Promise<void>;
      /** Feeds them, drawing after each thousand tokens; how long the text is that was read piece by piece. */
      replay(): number;
      /** Feeds one text; how long each thousand tokens took, in milliseconds. */
      long(tokens: number): Promise<number[]>;
    };
  }
}

const CHANNEL_TOKENS = 5_000;
const FRAME_TOKENS = 20;

let sink: Sink | undefined;
/** Who waits for a subscription to be asked for. */
const asked: ((subscribe: Subscribe) => void)[] = [];

const transport: Transport = {
  kind: "memory",
  lack: () => undefined,
  dial: (_info, to) => {
    sink = to;
    setTimeout(to.opened);
    return { kind: "memory", send: (bytes) => take(ClientMessage.decode(bytes)), close: () => {} };
  },
};

function take({ request, body }: ClientMessage): void {
  if (body?.case === "hello") {
    say({ request, body: { case: "welcome", value: Welcome.create({ session: "s" }) } });
    for (const one of body.value.subscriptions) subscribed(one, 0);
  } else if (body?.case === "subscribe") subscribed(body.value, request);
  else if (body?.case === "ping") say({ request, body: { case: "pong", value: body.value } });
}

function subscribed(one: Subscribe, request: number): void {
  const value = Subscribed.create({ alias: one.alias, epoch: "00000001", firstSeq: 1 });
  // An answer never comes before the question has been put.
  setTimeout(() => {
    say({ request, body: { case: "subscribed", value } });
    asked.shift()?.(one);
  });
}

const say = (control: Control): void =>
  sink?.message(ServerMessage.encode({ body: { case: "control", value: control } }));

const info = { webtransport: null, websocket: null, sse: null, protocol: "" };
/** The work of the next frame; a measurement does it at once. */
let due: (() => void) | undefined;
const flush = (): void => {
  const work = due;
  due = undefined;
  work?.();
};
const schedule = (work: () => void): void => {
  due = work;
  requestAnimationFrame(flush);
};
const client = connect({ info, transports: [transport], schedule });
let channels = 0;

/** A new channel that has begun. */
async function begin() {
  const attached = new Promise<Subscribe>((resolve) => asked.push(resolve));
  const channel = client.subscribe(`flood-${++channels}`);
  const { alias } = await attached;
  const started = Started.create({ id: `gen_${channels}`, model: "m" });
  const event = ChannelEvent.create({ kind: { case: "started", value: started } });
  sink?.frame(Frame.encode(Frame.create({ alias, firstSeq: 1, events: [event] })));
  return { channel, alias };
}

/** Tokens from `seq` on, in frames as the gateway makes them. */
function feed(alias: number, seq: number, tokens: number): void {
  for (let at = 0; at < tokens; at += FRAME_TOKENS) {
    sink?.frame(frame(alias, seq + at, Math.min(FRAME_TOKENS, tokens - at)));
  }
}

function frame(alias: number, firstSeq: number, tokens: number): Uint8Array {
  const events = Array.from({ length: tokens }, (_, index) =>
    ChannelEvent.create({ text: ` w${firstSeq + index}` }),
  );
  return Frame.encode(Frame.create({ alias, firstSeq, events }));
}

function finish(alias: number, seq: number): void {
  const finished = Finished.create({ reason: "stop" });
  const events = [ChannelEvent.create({ kind: { case: "finished", value: finished } })];
  sink?.frame(Frame.encode(Frame.create({ alias, firstSeq: seq, events })));
  const end = End.create({ reason: "complete", lastSeq: seq });
  sink?.frame(Frame.encode(Frame.create({ alias, news: { case: "end", value: end } })));
}

const drawn = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));
let left = 0;
let seen = 0;
let prepared: Uint8Array[] = [];
/** Of the text of `prepare`, how much was read. */
let read = 0;

async function flood(): Promise<void> {
  while (left > 0) {
    const { channel, alias } = await begin();
    const tokens = Math.min(left, CHANNEL_TOKENS);
    feed(alias, 2, tokens);
    finish(alias, tokens + 2);
    // Its reader sees it whole, and lets it go.
    await new Promise<void>((resolve) => {
      const stop = channel.subscribe(() => {
        if (channel.getSnapshot().status !== "ended") return;
        stop();
        resolve();
      });
    });
    const text = channel.getSnapshot().generations[0]?.text.toString() ?? "";
    seen += text.split(" ").length - 1;
    left -= tokens;
  }
}

window.flood = {
  begin: (tokens) => {
    left = tokens;
    void flood();
  },
  done: () => (left === 0 ? true : undefined),
  seen: () => seen,
  prepare: async (tokens) => {
    const { channel, alias } = await begin();
    prepared = Array.from({ length: tokens / FRAME_TOKENS }, (_, at) =>
      frame(alias, 2 + at * FRAME_TOKENS, FRAME_TOKENS),
    );
    channel.subscribe(() => {
      const text = channel.getSnapshot().generations[0]?.text;
      read += text?.after(read).length ?? 0;
    });
  },
  replay: () => {
    prepared.forEach((bytes, at) => {
      sink?.frame(bytes);
      if ((at + 1) % (1_000 / FRAME_TOKENS) === 0) flush();
    });
    return read;
  },
  long: async (tokens) => {
    const { channel, alias } = await begin();
    const place = document.createTextNode("");
    let length = 0;
    channel.subscribe(() => {
      const text = channel.getSnapshot().generations[0]?.text;
      if (text === undefined) return;
      // Not laid out: how long that takes is the page's affair.
      place.data = text.after(length);
      length = text.length;
    });
    const times: number[] = [];
    for (let at = 0; at < tokens; at += 1_000) {
      await drawn();
      const start = performance.now();
      feed(alias, at + 2, 1_000);
      // The snapshot is made, and what is new in it read.
      flush();
      times.push(performance.now() - start);
    }
    finish(alias, tokens + 2);
    return times;
  },
};

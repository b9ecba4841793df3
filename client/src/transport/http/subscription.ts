// One subscription over HTTP: a stream of events, or polls, each going on where the last one stopped.
// Turns what comes into the messages of the other carriers.

import type { ChannelEvent } from "../../wire/event.js";
import { End, Frame, type Snapshot } from "../../wire/frame.js";
import { type Control, Refused, type Subscribe, Subscribed } from "../../wire/session.js";
import { type Api, Refusal } from "./api.js";
import { type Json, Reading, rewindOf, type Told } from "./json.js";
import { EventLines } from "./lines.js";

/** Where a subscription's messages go. */
export interface Outlet {
  control(request: number, body: Control["body"]): void;
  frame(frame: Frame): void;
}

/** A stream that does not begin by then does not stream: something on the way holds it back. */
export const HEAD_MS = 2_000;

/** Whether a request can be repeated, or nothing more will come. */
export type Outcome = "more" | "over";

/** One channel's events. */
export class Subscription {
  readonly #api: Api;
  readonly #outlet: Outlet;
  readonly #request: number;
  readonly #wanted: Subscribe;
  readonly #reading = new Reading();
  readonly #abort = new AbortController();
  /** `EPOCH.SEQ`, once anything is known. */
  #cursor: string | undefined;
  #attached = false;
  #cause: Snapshot["cause"];

  constructor(api: Api, outlet: Outlet, request: number, wanted: Subscribe) {
    this.#api = api;
    this.#outlet = outlet;
    this.#request = request;
    this.#wanted = wanted;
    const { from } = wanted;
    if (from?.case === "cursor") this.#cursor = `${from.value.epoch}.${from.value.seq}`;
    this.#cause = from === undefined || from.case === "snapshot" ? "asked" : "trimmed";
  }

  /** Wants no more. */
  leave(): void {
    this.#abort.abort();
  }

  /** Whether it was left. */
  get left(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Reads a stream to its end, which need not be the channel's. Throws where only a new connection helps. */
  async stream(): Promise<Outcome> {
    // A stream that is held back is given up; one that has begun goes on as long as it likes.
    const held = new AbortController();
    const leave = (): void => held.abort();
    this.#abort.signal.addEventListener("abort", leave);
    const timer = setTimeout(leave, HEAD_MS);
    try {
      // The head is asked for each time: that it comes at once is the proof that this streams.
      const response = await this.#ask({ head: "true" }, "text/event-stream", held.signal);
      if (response === undefined) return "over";
      const lines = new EventLines();
      const text = new TextDecoder("utf-8", { ignoreBOM: true });
      const reader = response.body?.getReader();
      for (;;) {
        const chunk = await reader?.read();
        clearTimeout(timer);
        if (!chunk || chunk.done) return "more";
        const sent = lines.push(text.decode(chunk.value, { stream: true }));
        this.#take(sent.map(({ id, event, data }) => ({ id, event, data: JSON.parse(data) })));
      }
    } finally {
      clearTimeout(timer);
      this.#abort.signal.removeEventListener("abort", leave);
    }
  }

  /** Asks once, and waits for so long if there is nothing new. */
  async poll(waitSeconds: number): Promise<Outcome> {
    // The head is worth an answer by itself.
    const query: Record<string, string> = this.#attached
      ? { wait: `${waitSeconds}s` }
      : { wait: "0s", head: "true" };
    const response = await this.#ask(query, "application/json", this.#abort.signal);
    if (response === undefined) return "over";
    const { cursor, events } = (await response.json()) as Json;
    this.#take(events);
    this.#cursor = cursor;
    return "more";
  }

  async #ask(
    query: Record<string, string>,
    accept: string,
    signal: AbortSignal,
  ): Promise<Response | undefined> {
    const { channel, from } = this.#wanted;
    const place = this.#cursor ? { after: this.#cursor } : { from: from?.case ?? "snapshot" };
    try {
      const response = await this.#api.events(channel, { ...place, ...query }, accept, signal);
      if (response?.headers.get("content-type")?.startsWith(accept) ?? true) {
        if (response === undefined) this.#end("complete");
        return response;
      }
      throw new Error("the answer is not the gateway's");
    } catch (error) {
      if (!(error instanceof Refusal) || error.status >= 500 || error.code === "") throw error;
      this.#refused(error);
      return undefined;
    }
  }

  #refused({ code, message, epoch, status }: Refusal): void {
    const { alias } = this.#wanted;
    // What was there and is gone has ended.
    if (this.#attached && status === 404) this.#end("deleted");
    else if (this.#attached && status === 410) this.#end("evicted");
    else {
      const value = Refused.create({ code, message, alias, epoch });
      this.#outlet.control(this.#request, { case: "refused", value });
    }
  }

  #end(reason: End["reason"]): void {
    const [epoch = "", seq = "0"] = this.#cursor?.split(".") ?? [];
    const lastSeq = Number(seq);
    this.#attach({ epoch, firstSeq: lastSeq + 1, lastSeq, generations: [] });
    this.#news({ case: "end", value: End.create({ reason, lastSeq }) });
  }

  #attach(head: Omit<Subscribed, "alias" | "delivery">): void {
    if (this.#attached) return;
    this.#attached = true;
    const value = Subscribed.create({ ...head, alias: this.#wanted.alias });
    this.#outlet.control(this.#request, { case: "subscribed", value });
  }

  #news(news: Frame["news"]): void {
    this.#outlet.frame(Frame.create({ alias: this.#wanted.alias, news }));
  }

  /** Events that follow one another make one frame. */
  #take(told: readonly Told[]): void {
    let events: ChannelEvent[] = [];
    let firstSeq = 0;
    const flush = (): void => {
      const { alias } = this.#wanted;
      if (events.length > 0) this.#outlet.frame(Frame.create({ alias, firstSeq, events }));
      events = [];
    };
    for (const { id, event, data } of told) {
      if (event === "head") {
        const head = this.#reading.head(data);
        const from = this.#wanted.from?.case;
        if (from === "beginning") this.#cursor ??= `${head.epoch}.0`;
        if (from === "tail") this.#cursor ??= `${head.epoch}.${head.lastSeq}`;
        this.#attach(head);
      } else if (event === "snapshot") {
        flush();
        this.#news({ case: event, value: this.#reading.snapshot(data, this.#cause) });
        this.#cause = "trimmed";
      } else if (event === "rewind") {
        flush();
        this.#news({ case: event, value: rewindOf(data) });
        this.#cause = "rewind";
      } else if (typeof data.seq === "number") {
        if (events.length > 0 && data.seq !== firstSeq + events.length) flush();
        if (events.length === 0) firstSeq = data.seq;
        events.push(this.#reading.event(event, data));
        this.#cause = "trimmed";
      }
      this.#cursor = id ?? this.#cursor;
    }
    flush();
  }
}

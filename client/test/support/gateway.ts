// A gateway in a few lines, straight from the proto's comments, with faults on request: it is what the client's tests
// are judged by, so it shares the codec with the client and nothing else.

import type { MemoryLink, MemoryPeer } from "../../src/transport/memory.js";
import { Acks } from "../../src/wire/acks.js";
import { ChannelEvent, Failed, Finished } from "../../src/wire/event.js";
import { type End, Frame, GenerationState, Snapshot } from "../../src/wire/frame.js";
import { delimit } from "../../src/wire/framing.js";
import {
  ClientMessage,
  Closing,
  type Control,
  type Cursor,
  Refused,
  ServerMessage,
  type Subscribe,
  Subscribed,
  Welcome,
} from "../../src/wire/session.js";

type Kind = NonNullable<ChannelEvent["kind"]>;
type ValueOf<T extends Kind["case"]> = Extract<Kind, { readonly case: T }>["value"];

/** A channel's log. */
export class Log {
  readonly id: string;
  epoch: string;
  /** Event n has seq n + 1. */
  events: ChannelEvent[] = [];
  /** Events up to here are only in the fold. */
  trimmed = 0;
  closed = false;
  /** Epochs before this one, and how far each of them holds. */
  readonly before = new Map<string, number>();

  constructor(id: string, epoch: string) {
    this.id = id;
    this.epoch = epoch;
  }

  get last(): number {
    return this.events.length;
  }

  say(text: string): void {
    this.events.push(ChannelEvent.create({ text }));
  }

  /** A generation's first event. */
  begin(id: string): void {
    const started = {
      id,
      model: "m",
      provider: "p",
      dialect: "openai",
      createdMs: 1,
      traceparent: "",
    };
    this.events.push(ChannelEvent.create({ kind: { case: "started", value: started } }));
  }

  /** A generation's last event. */
  end(kind: "finished" | "cancelled"): void {
    const value: ChannelEvent["kind"] =
      kind === "finished"
        ? { case: "finished", value: Finished.create({ reason: "stop" }) }
        : { case: "failed", value: Failed.create({ code: "cancelled" }) };
    this.events.push(ChannelEvent.create({ kind: value }));
  }

  /** Another writer takes over, and what was said past `validThrough` is gone. */
  takeOver(epoch: string, validThrough: number): void {
    for (const [old, valid] of this.before) this.before.set(old, Math.min(valid, validThrough));
    this.before.set(this.epoch, validThrough);
    this.epoch = epoch;
    this.events = this.events.slice(0, validThrough);
    this.trimmed = Math.min(this.trimmed, validThrough);
  }

  text(through = this.last): string {
    return this.events
      .slice(0, through)
      .map((event) => event.text)
      .join("");
  }

  fold(cause: Snapshot["cause"]): Snapshot {
    const pieces = this.#all("toolArguments");
    const toolCalls = this.#all("toolCall").map((call) => {
      const own = pieces.filter(({ index }) => index === call.index);
      return { call, arguments: own.map((one) => one.arguments).join("") };
    });
    const choices = [
      {
        choice: 0,
        text: this.text(),
        reasoning: this.#all("reasoning")
          .map(({ text }) => text)
          .join(""),
        refusal: "",
        toolCalls,
        sealed: [],
        finished: undefined,
      },
    ];
    const [finished] = this.#all("finished");
    const [failed] = this.#all("failed");
    const state = GenerationState.create({
      choices,
      citations: this.#all("citation"),
      state: finished ? "finished" : failed ? "failed" : "running",
      started: this.#all("started")[0],
      finished,
      failed,
    });
    const generations = this.last === 0 ? [] : [state];
    return Snapshot.create({ epoch: this.epoch, through: this.last, generations, cause });
  }

  #all<T extends Kind["case"]>(wanted: T): ValueOf<T>[] {
    const found = this.events.filter(({ kind }) => kind?.case === wanted);
    return found.map(({ kind }) => kind?.value as ValueOf<T>);
  }
}

/** What goes wrong, each with a probability per frame. */
export interface Faults {
  /** Events that were sent come again. */
  repeat: number;
  /** Events are left out. */
  skip: number;
  /** Events are too many for a datagram. */
  big: number;
}

/** Events that went by datagram and were not acknowledged. */
interface Open {
  readonly firstSeq: number;
  readonly events: ChannelEvent[];
  sends: number;
  ticks: number;
}

/** How often a datagram is repeated, and for how many ticks an acknowledgement is waited for. */
const SENDS_MAX = 3;
const WAIT_TICKS = 7;

interface Reader {
  readonly alias: number;
  readonly log: Log;
  readonly write: (bytes: Uint8Array) => void;
  readonly byDatagram: boolean;
  open: Open[];
  epoch: string;
  next: number;
}

/** A gateway that speaks the protocol over any link. */
export class FakeGateway {
  readonly logs = new Map<string, Log>();
  readonly faults: Faults = { repeat: 0, skip: 0, big: 0 };
  readonly cancelled: string[] = [];
  readonly hellos: number[] = [];
  /** All tokens that were shown, in hello and later. */
  readonly tokens: string[] = [];
  /** Connections so far. */
  dials = 0;
  answersPings = true;
  /** Whether hello is answered. */
  welcomes = true;
  /** Whether datagrams are granted to who asks for them. */
  datagrams = true;
  readonly #random: () => number;
  readonly #sessions = new Set<FakeSession>();

  constructor(random: () => number) {
    this.#random = random;
  }

  /** How many connections stand. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** How many subscriptions stand. */
  get readers(): number {
    return [...this.#sessions].reduce((sum, session) => sum + session.readers, 0);
  }

  /** No token allows the channel any more: its subscriptions end. */
  forbid(id: string): void {
    for (const session of this.#sessions) session.forbid(id);
  }

  /** The channel expires. */
  evict(id: string): void {
    for (const session of this.#sessions) session.forbid(id, "evicted");
    this.logs.delete(id);
  }

  channel(id: string, epoch = "00000001"): Log {
    const log = new Log(id, epoch);
    this.logs.set(id, log);
    return log;
  }

  readonly accept = (link: MemoryLink): MemoryPeer => {
    this.dials += 1;
    const session = new FakeSession(this, link, this.#random);
    this.#sessions.add(session);
    return {
      message: (bytes) => session.take(ClientMessage.decode(bytes)),
      datagram: (bytes) => session.acknowledge(Acks.decode(bytes)),
      closed: () => this.#sessions.delete(session),
    };
  };

  /** A tick of every session's frame clock. */
  tick(): void {
    for (const session of this.#sessions) session.tick();
  }

  /** Tells every session. */
  tell(body: Control["body"]): void {
    for (const session of this.#sessions) session.answer(0, body);
  }

  /** Wants every session of now to end, and ends those that do not after so many ticks. */
  goAway(ticks = 60): void {
    for (const session of this.#sessions) {
      session.answer(0, { case: "goAway", value: { graceMs: ticks * 16 } });
      session.graceTicks ??= ticks;
    }
  }

  closing(code: string, retry: boolean): void {
    this.tell({ case: "closing", value: Closing.create({ code, retry }) });
  }
}

const lastOf = (one: Open): number => one.firstSeq + one.events.length - 1;

class FakeSession {
  readonly #gateway: FakeGateway;
  readonly #link: MemoryLink;
  readonly #random: () => number;
  readonly #readers = new Map<number, Reader>();
  readonly #used = new Set<number>();
  /** Until it is closed; undefined while it may stay. */
  graceTicks: number | undefined;

  constructor(gateway: FakeGateway, link: MemoryLink, random: () => number) {
    this.#gateway = gateway;
    this.#link = link;
    this.#random = random;
  }

  get readers(): number {
    return this.#readers.size;
  }

  answer(request: number, body: Control["body"]): void {
    const control = { request, body };
    this.#link.send(ServerMessage.encode({ body: { case: "control", value: control } }));
  }

  take({ request, body }: ClientMessage): void {
    switch (body?.case) {
      case "hello":
        this.#gateway.hellos.push(body.value.subscriptions.length);
        this.#gateway.tokens.push(...body.value.tokens);
        if (!this.#gateway.welcomes) break;
        this.answer(request, {
          case: "welcome",
          value: Welcome.create({ session: "s", heartbeatMs: 250 }),
        });
        for (const one of body.value.subscriptions) this.#subscribe(0, one);
        break;
      case "subscribe":
        this.#subscribe(request, body.value);
        break;
      case "unsubscribe": {
        const reader = this.#readers.get(body.value.alias);
        this.#readers.delete(body.value.alias);
        if (reader) this.#end(reader, "unsubscribed");
        break;
      }
      case "cancel":
        this.#gateway.cancelled.push(body.value.channel);
        if (body.value.generation) this.#gateway.logs.get(body.value.channel)?.end("cancelled");
        this.answer(request, { case: "done", value: {} });
        break;
      case "publish": {
        const log = this.#gateway.logs.get(body.value.channel);
        if (!log || !body.value.custom) {
          this.#refuse(request, "channel_not_found", 0);
          return;
        }
        log.events.push(
          ChannelEvent.create({ kind: { case: "custom", value: body.value.custom } }),
        );
        const value = { channel: log.id, epoch: log.epoch, seq: log.last };
        this.answer(request, { case: "published", value });
        break;
      }
      case "addTokens":
        this.#gateway.tokens.push(...body.value.tokens);
        break;
      case "ping":
        if (this.#gateway.answersPings) this.answer(request, { case: "pong", value: body.value });
        break;
    }
  }

  forbid(id: string, reason: End["reason"] = "forbidden"): void {
    for (const [alias, reader] of this.#readers) {
      if (reader.log.id !== id) continue;
      this.#readers.delete(alias);
      this.#end(reader, reason);
    }
  }

  tick(): void {
    if (this.graceTicks !== undefined && --this.graceTicks === 0) {
      const value = Closing.create({ code: "shutdown", retry: true });
      this.answer(0, { case: "closing", value });
    }
    for (const reader of this.#readers.values()) {
      this.#serve(reader);
      this.#scatter(reader);
    }
  }

  acknowledge({ acks }: Acks): void {
    for (const { alias, seq } of acks) {
      const reader = this.#readers.get(alias);
      while (reader?.open[0] && lastOf(reader.open[0]) <= seq) reader.open.shift();
    }
  }

  /** The newest that is open by datagram, and by the stream what was not acknowledged in time. */
  #scatter(reader: Reader): void {
    const { open } = reader;
    let from = open.length;
    for (; from > 0; from--) {
      const [one, next] = [open[from - 1], open[from]];
      if (!one || one.sends >= SENDS_MAX || (next && lastOf(one) + 1 !== next.firstSeq)) break;
      one.sends += 1;
    }
    const [first, ...rest] = open.slice(from);
    if (first) {
      const events = [first, ...rest].flatMap((one) => one.events);
      const frame = Frame.create({ alias: reader.alias, firstSeq: first.firstSeq, events });
      this.#link.datagram(delimit(Frame.encode(frame)));
    }
    for (const one of open) one.ticks += 1;
    while ((open[0]?.ticks ?? 0) > WAIT_TICKS) this.#popOpen(reader);
  }

  #popOpen(reader: Reader): void {
    const one = reader.open.shift();
    if (one) this.#write(reader, { firstSeq: one.firstSeq, events: one.events });
  }

  #subscribe(request: number, { alias, channel, from, delivery }: Subscribe): void {
    if (this.#used.has(alias)) throw new Error(`alias ${alias} was used before`);
    this.#used.add(alias);
    const log = this.#gateway.logs.get(channel);
    if (log === undefined) {
      this.#refuse(request, "channel_not_found", alias);
      return;
    }
    const byDatagram = delivery === "datagram" && this.#gateway.datagrams;
    const write = this.#link.open();
    const reader: Reader = { alias, log, write, byDatagram, open: [], epoch: log.epoch, next: 1 };
    const accepted = (): void => {
      const value = Subscribed.create({
        alias,
        epoch: log.epoch,
        firstSeq: log.trimmed + 1,
        lastSeq: log.last,
        delivery: byDatagram ? "datagram" : "stream",
      });
      this.answer(request, { case: "subscribed", value });
      this.#readers.set(alias, reader);
    };
    if (from?.case === "cursor") {
      this.#resume(request, reader, from.value, accepted);
    } else {
      accepted();
      if (from?.case === "tail") reader.next = log.last + 1;
      else if (from?.case !== "beginning") this.#snapshot(reader, "asked");
      else if (log.trimmed > 0) this.#snapshot(reader, "trimmed");
    }
  }

  #resume(request: number, reader: Reader, cursor: Cursor, accepted: () => void): void {
    const { log, alias } = reader;
    if (cursor.epoch !== log.epoch) {
      const valid = log.before.get(cursor.epoch);
      if (valid === undefined) {
        this.#refuse(request, "epoch_changed", alias, log.epoch);
        return;
      }
      accepted();
      if (cursor.seq > valid) {
        this.#rewind(reader, cursor.epoch, valid);
        this.#snapshot(reader, "rewind");
        return;
      }
    } else {
      if (cursor.seq > log.last) {
        this.#refuse(request, "cursor_ahead", alias, log.epoch);
        return;
      }
      accepted();
    }
    reader.next = cursor.seq + 1;
    if (cursor.seq < log.trimmed) this.#snapshot(reader, "trimmed");
  }

  #serve(reader: Reader): void {
    const { log } = reader;
    if (reader.epoch !== log.epoch) {
      const valid = log.before.get(reader.epoch) ?? 0;
      this.#rewind(reader, reader.epoch, valid);
      reader.epoch = log.epoch;
      if (reader.next - 1 > valid) this.#snapshot(reader, "rewind");
    }
    if (reader.next <= log.trimmed) this.#snapshot(reader, "trimmed");
    let first = reader.next;
    if (this.#random() < this.#gateway.faults.repeat) {
      first = Math.max(log.trimmed + 1, first - Math.floor(this.#random() * 5));
    }
    if (this.#random() < this.#gateway.faults.skip && first + 1 < log.last) first += 1;
    if (first <= log.last) {
      const last = Math.min(log.last, first + Math.floor(this.#random() * 20));
      const events = log.events.slice(first - 1, last);
      const isEnd = events.some(({ kind }) => kind?.case === "finished" || kind?.case === "failed");
      const big = !reader.byDatagram || this.#random() < this.#gateway.faults.big;
      if (!big) reader.open.push({ firstSeq: first, events, sends: 0, ticks: 0 });
      if (big || isEnd) this.#write(reader, { firstSeq: first, events });
      reader.next = last + 1;
    } else if (log.closed) {
      this.#readers.delete(reader.alias);
      while (reader.open.length > 0) this.#popOpen(reader);
      this.#end(reader, "complete");
    }
  }

  #snapshot(reader: Reader, cause: Snapshot["cause"]): void {
    this.#write(reader, { news: { case: "snapshot", value: reader.log.fold(cause) } });
    reader.next = reader.log.last + 1;
  }

  #rewind(reader: Reader, previousEpoch: string, validThrough: number): void {
    const value = { previousEpoch, validThrough, epoch: reader.log.epoch };
    this.#write(reader, { news: { case: "rewind", value } });
  }

  #end(reader: Reader, reason: End["reason"]): void {
    this.#write(reader, { news: { case: "end", value: { reason, lastSeq: reader.log.last } } });
  }

  #refuse(request: number, code: string, alias: number, epoch = ""): void {
    const value = Refused.create({ code, alias, epoch });
    this.answer(request, { case: "refused", value });
  }

  #write(reader: Reader, frame: Partial<Frame>): void {
    reader.write(Frame.encode(Frame.create({ alias: reader.alias, ...frame })));
  }
}

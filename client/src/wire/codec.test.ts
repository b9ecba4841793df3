import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChannelEvent } from "./event.js";
import { Frame } from "./frame.js";
import { Reader, WireError, Writer } from "./protobuf.js";
import type { Message } from "./schema.js";
import { ClientMessage, Control, Hello } from "./session.js";

const text = fc.string({ unit: "binary", maxLength: 12 });
const u32 = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffff_ffff }));
const u64 = fc.oneof(fc.nat(300), fc.maxSafeNat());
const bytes = fc.uint8Array({ maxLength: 12 });
const word = <const W extends readonly string[]>(...words: W) =>
  fc.constantFrom<W[number]>(...words);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const of = <C extends string, T>(name: C, value: fc.Arbitrary<T>) =>
  fc.record({ case: fc.constant(name), value });

const started = fc.record({
  id: text,
  model: text,
  provider: text,
  dialect: text,
  createdMs: u64,
  traceparent: text,
});
const reasoning = fc.record({ text, signature: text, encrypted: text });
const toolCall = fc.record({ index: u32, id: text, name: text, runBy: word("client", "server") });
const media = fc.record({ mime: text, data: bytes, index: u32, part: u32, last: fc.boolean() });
const usage = fc.record({
  input: u64,
  output: u64,
  cachedInput: u64,
  cacheWrite: u64,
  reasoning: u64,
  native: bytes,
  estimated: fc.boolean(),
  cost: maybe(fc.double({ noNaN: true })),
});
const finished = fc.record({
  reason: word("unspecified", "stop", "length", "tool_calls", "content_filter", "refusal", "pause"),
  nativeReason: maybe(text),
});
const failed = fc.record({
  code: word("unspecified", "cancelled", "upstream_error", "upstream_cut", "timeout", "limit"),
  message: text,
  phase: word("unspecified", "connect", "first_token", "idle", "total", "silent"),
  status: u32,
});
const custom = fc.record({ type: text, data: bytes });
const event = fc.record({
  text,
  generation: u32,
  choice: u32,
  kind: maybe(
    fc.oneof(
      of("started", started),
      of("reasoning", reasoning),
      of("refusal", text),
      of("toolCall", toolCall),
      of("toolArguments", fc.record({ index: u32, arguments: text })),
      of("citation", fc.record({ data: bytes })),
      of("media", media),
      of("usage", usage),
      of("resumed", fc.record({ from: text, to: text, reason: text, dialect: text })),
      of("choiceFinished", finished),
      of("finished", finished),
      of("failed", failed),
      of("custom", custom),
      of("native", fc.record({ dialect: text, name: text, data: bytes })),
    ),
  ),
});
const choice = fc.record({
  choice: u32,
  text,
  reasoning: text,
  refusal: text,
  toolCalls: fc.array(fc.record({ call: maybe(toolCall), arguments: text }), { maxLength: 2 }),
  finished: maybe(finished),
  sealed: fc.array(reasoning, { maxLength: 2 }),
});
const generation = fc.record({
  index: u32,
  started: maybe(started),
  state: word("running", "finished", "failed"),
  choices: fc.array(choice, { maxLength: 2 }),
  citations: fc.array(fc.record({ data: bytes }), { maxLength: 2 }),
  media: fc.array(media, { maxLength: 2 }),
  usage: maybe(usage),
  finished: maybe(finished),
  failed: maybe(failed),
  evicted: fc.boolean(),
});
const frame = fc.record({
  alias: u32,
  firstSeq: u64,
  events: fc.array(event, { maxLength: 4 }),
  news: maybe(
    fc.oneof(
      of(
        "snapshot",
        fc.record({
          epoch: text,
          through: u64,
          generations: fc.array(generation, { maxLength: 2 }),
          customs: fc.array(fc.record({ seq: u64, custom: maybe(custom) }), { maxLength: 2 }),
          cause: word("asked", "trimmed", "rewind"),
        }),
      ),
      of("rewind", fc.record({ previousEpoch: text, validThrough: u64, epoch: text })),
      of(
        "end",
        fc.record({
          reason: word("complete", "unsubscribed", "deleted", "evicted", "forbidden"),
          lastSeq: u64,
        }),
      ),
    ),
  ),
});
const nothing = fc.constant({});
const subscribe = fc.record({
  alias: u32,
  channel: text,
  from: maybe(
    fc.oneof(
      of("cursor", fc.record({ epoch: text, seq: u64 })),
      of("beginning", nothing),
      of("tail", nothing),
      of("snapshot", nothing),
    ),
  ),
  times: fc.boolean(),
  delivery: word("stream", "datagram"),
});
const clientMessage = fc.record({
  request: u64,
  body: maybe(
    fc.oneof(
      of(
        "hello",
        fc.record({
          protocol: u32,
          client: text,
          maxStreams: u32,
          frameIntervalMs: maybe(u32),
          tokens: fc.array(text, { maxLength: 2 }),
          subscriptions: fc.array(subscribe, { maxLength: 3 }),
        }),
      ),
      of("subscribe", subscribe),
      of("unsubscribe", fc.record({ alias: u32 })),
      of("cancel", fc.record({ channel: text, generation: text })),
      of("publish", fc.record({ channel: text, custom: maybe(custom) })),
      of("ping", fc.record({ nonce: u64 })),
    ),
  ),
});
const control = fc.record({
  request: u64,
  body: maybe(
    fc.oneof(
      of("done", nothing),
      of("pong", fc.record({ nonce: u64 })),
      of("goAway", fc.record({ graceMs: u32 })),
      of("refused", fc.record({ code: text, message: text, alias: u32, epoch: text })),
      of("closing", fc.record({ code: text, message: text, retry: fc.boolean() })),
    ),
  ),
});

function roundTrips<T>(type: Message<T>, values: fc.Arbitrary<T>): void {
  fc.assert(
    fc.property(values, (value) => {
      const encoded = type.encode(value);
      expect(type.decode(encoded)).toEqual(value);
      expect(type.encode(type.decode(encoded))).toEqual(encoded);
    }),
    { numRuns: 500 },
  );
}

describe("the codec", () => {
  it("gives every event back", () => roundTrips(ChannelEvent, event));
  it("gives every frame back", () => roundTrips(Frame, frame));
  it("gives every client message back", () => roundTrips(ClientMessage, clientMessage));
  it("gives every control message back", () => roundTrips(Control, control));

  it("spends two bytes beside the text on a text event", () => {
    expect(ChannelEvent.encode(ChannelEvent.create({ text: "Hel" }))).toEqual(
      new Uint8Array([0x0a, 3, 0x48, 0x65, 0x6c]),
    );
  });

  it("keeps a byte order mark at the beginning of a delta", () => {
    const kept = ChannelEvent.decode(ChannelEvent.encode(ChannelEvent.create({ text: "\ufeffx" })));
    expect(kept.text).toBe("\ufeffx");
  });

  it("writes a default inside a oneof and an optional, and nowhere else", () => {
    const refusal = ChannelEvent.create({ kind: { case: "refusal", value: "" } });
    expect(ChannelEvent.decode(ChannelEvent.encode(refusal)).kind).toEqual(refusal.kind);
    expect(Hello.encode(Hello.create({ frameIntervalMs: 0 }))).toEqual(new Uint8Array([0x20, 0]));
    expect(Hello.encode(Hello.create())).toHaveLength(0);
  });

  it("passes over fields that a later version may add", () => {
    const writer = new Writer();
    writer.varint(1000 * 8 + 2);
    writer.string("news");
    writer.varint(1001 * 8 + 1);
    writer.double(1);
    writer.varint(1 * 8 + 2);
    writer.string("text");
    // A negative int64 takes ten bytes and more than a number holds.
    const negative = [0xd0, 0x3e, ...Array(9).fill(0xff), 0x01];
    const whole = new Uint8Array([...writer.finish(), ...negative]);
    expect(ChannelEvent.decode(whole).text).toBe("text");
  });

  it("passes over the times of events, which it does not ask for", () => {
    expect(Frame.decode(new Uint8Array([8, 7, 0x20, 5, 0x2a, 2, 5, 6, 16, 9]))).toEqual(
      Frame.create({ alias: 7, firstSeq: 9 }),
    );
  });

  it("refuses what a number cannot hold", () => {
    expect(() => new Writer().varint(2 ** 53)).toThrow(WireError);
    expect(() => new Writer().varint(-1)).toThrow(WireError);
    const huge = new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    expect(() => new Reader(huge).varint()).toThrow(WireError);
  });

  it("never answers garbage with anything but a message or a wire error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (garbage) => {
        try {
          Frame.decode(garbage);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

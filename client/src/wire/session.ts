// proto/tokenway/v1/session.proto: what client and gateway say to each other. The comments there are the documentation.

import { Custom, Started } from "./event.js";
import { Frame } from "./frame.js";
import {
  bool,
  enumeration,
  type Infer,
  message,
  nested,
  oneof,
  optional,
  repeated,
  string,
  uint32,
  uint64,
} from "./schema.js";

/** The WebSocket subprotocol, and the protocol's name. */
export const SUBPROTOCOL = "tokenway.v1";
/** The protocol's major version. */
export const PROTOCOL = 1;

export const Nothing = message({});

export const Cursor = message({ epoch: string(1), seq: uint64(2) });
/** A place in a channel that was seen. */
export type Cursor = Infer<typeof Cursor>;

const delivery = (number: number) => enumeration(number, ["stream", "datagram"]);
/** How a subscription's events come: in order on a stream, or the newest at once by datagram. */
export type Delivery = Subscribe["delivery"];

export const Subscribe = message({
  alias: uint32(1),
  channel: string(2),
  from: oneof({
    cursor: nested(3, Cursor),
    beginning: nested(4, Nothing),
    tail: nested(5, Nothing),
    snapshot: nested(6, Nothing),
  }),
  times: bool(7),
  delivery: delivery(8),
});
/** Read a channel from some place on. */
export type Subscribe = Infer<typeof Subscribe>;

export const Unsubscribe = message({ alias: uint32(1) });
export const Cancel = message({ channel: string(1), generation: string(2) });
export const Publish = message({ channel: string(1), custom: nested(2, Custom) });
export const AddTokens = message({ tokens: repeated(string(1)) });
export const Ping = message({ nonce: uint64(1) });
export const Pong = Ping;
export const Done = Nothing;

export const Hello = message({
  protocol: uint32(1),
  client: string(2),
  maxStreams: uint32(3),
  frameIntervalMs: optional(uint32(4)),
  tokens: repeated(string(5)),
  subscriptions: repeated(nested(6, Subscribe)),
});
/** The client's first message. */
export type Hello = Infer<typeof Hello>;

export const Welcome = message({
  session: string(1),
  server: string(2),
  maxStreams: uint32(3),
  frameIntervalMs: uint32(4),
  heartbeatMs: uint32(5),
});
/** The answer to hello. */
export type Welcome = Infer<typeof Welcome>;

export const GenerationHead = message({ index: uint32(1), started: nested(2, Started) });

/** A generation without its content. */
export type GenerationHead = Infer<typeof GenerationHead>;

export const Subscribed = message({
  alias: uint32(1),
  epoch: string(2),
  firstSeq: uint64(3),
  lastSeq: uint64(4),
  generations: repeated(nested(5, GenerationHead)),
  delivery: delivery(6),
});
/** A subscription was taken up. */
export type Subscribed = Infer<typeof Subscribed>;

export const Published = message({ channel: string(1), epoch: string(2), seq: uint64(3) });
/** Where a custom event was put. */
export type Published = Infer<typeof Published>;

export const Refused = message({
  code: string(1),
  message: string(2),
  alias: uint32(3),
  epoch: string(4),
});
/** A request was not carried out. */
export type Refused = Infer<typeof Refused>;

export const GoAway = message({ graceMs: uint32(1) });

export const Closing = message({ code: string(1), message: string(2), retry: bool(3) });
/** The session's last message. */
export type Closing = Infer<typeof Closing>;

export const ClientMessage = message({
  request: uint64(1),
  body: oneof({
    hello: nested(2, Hello),
    subscribe: nested(3, Subscribe),
    unsubscribe: nested(4, Unsubscribe),
    cancel: nested(5, Cancel),
    publish: nested(6, Publish),
    ping: nested(7, Ping),
    addTokens: nested(8, AddTokens),
  }),
});
/** What the client says. */
export type ClientMessage = Infer<typeof ClientMessage>;

export const Control = message({
  request: uint64(1),
  body: oneof({
    welcome: nested(2, Welcome),
    subscribed: nested(3, Subscribed),
    refused: nested(4, Refused),
    done: nested(5, Done),
    published: nested(6, Published),
    pong: nested(7, Pong),
    goAway: nested(8, GoAway),
    closing: nested(9, Closing),
  }),
});
/** Answers, and news that concern the whole session. */
export type Control = Infer<typeof Control>;

export const ServerMessage = message({
  body: oneof({ control: nested(1, Control), frame: nested(2, Frame) }),
});
/** What the gateway says. */
export type ServerMessage = Infer<typeof ServerMessage>;

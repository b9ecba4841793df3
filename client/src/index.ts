// Tokenway for browsers. The public names, by section, and nothing else.

// Channels.
export type { Channel } from "./channel.js";
// Connecting.
export { Client, connect } from "./client.js";
export {
  AccessError,
  ConnectionError,
  type ErrorCode,
  RequestError,
  TokenwayError,
} from "./errors.js";
export type { ClientSnapshot, ConnectOptions, SubscribeOptions } from "./options.js";
export type { Clock } from "./session/clock.js";
export type { From } from "./session/cursor.js";
export type { Batch, ChannelMetrics } from "./session/feed.js";
export type { Recovery } from "./session/recovery.js";
export type { Tokens } from "./session/tokens.js";
export type {
  ChannelSnapshot,
  ChoiceSnapshot,
  CustomSnapshot,
  GenerationSnapshot,
  MediaSnapshot,
  ToolCallSnapshot,
} from "./snapshot.js";
export type { Readable, Schedule } from "./store.js";
export type { TextView } from "./text.js";
export { longpoll, sse, websocket, webtransport } from "./transport/carriers.js";
// Carriers.
export type {
  ConnectInfo,
  Connection,
  Sink,
  Transport,
  TransportKind,
} from "./transport/transport.js";
// The words.
export type {
  ChannelEvent,
  Custom,
  Failed,
  Finished,
  Native,
  Started,
  ToolCall,
  Usage,
} from "./wire/event.js";
export type { Cursor, Published } from "./wire/session.js";

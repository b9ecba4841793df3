// Tokenway for browsers. The public names, by section, and nothing else.

// Channels.
export type { Channel } from "./channel.js";
// Connecting.
export {
  Client,
  type ClientSnapshot,
  type ConnectOptions,
  connect,
  type SubscribeOptions,
} from "./client.js";
export { TokenwayError } from "./errors.js";
export type { From } from "./session/cursor.js";
export type { Batch, ChannelMetrics } from "./session/feed.js";
export type { Recovery } from "./session/recovery.js";
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
// Carriers.
export type {
  ConnectInfo,
  Connection,
  Lack,
  Sink,
  Transport,
  TransportKind,
} from "./transport/transport.js";
export { websocket } from "./transport/websocket.js";
export { webtransport } from "./transport/webtransport.js";
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

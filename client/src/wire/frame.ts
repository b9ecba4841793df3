// proto/tokenway/v1/frame.proto: the unit of delivery. The comments there are the documentation.

import {
  ChannelEvent,
  ChoiceFinished,
  Citation,
  Custom,
  Failed,
  Finished,
  Media,
  Reasoning,
  Started,
  ToolCall,
  Usage,
} from "./event.js";
import {
  bool,
  enumeration,
  type Infer,
  message,
  nested,
  oneof,
  repeated,
  string,
  uint32,
  uint64,
} from "./schema.js";

export const ToolCallState = message({ call: nested(1, ToolCall), arguments: string(2) });
export type ToolCallState = Infer<typeof ToolCallState>;

export const ChoiceState = message({
  choice: uint32(1),
  text: string(2),
  reasoning: string(3),
  refusal: string(4),
  toolCalls: repeated(nested(5, ToolCallState)),
  finished: nested(6, ChoiceFinished),
  sealed: repeated(nested(7, Reasoning)),
});
export type ChoiceState = Infer<typeof ChoiceState>;

export const GenerationState = message({
  index: uint32(1),
  started: nested(2, Started),
  state: enumeration(3, ["running", "finished", "failed"]),
  choices: repeated(nested(4, ChoiceState)),
  citations: repeated(nested(5, Citation)),
  media: repeated(nested(6, Media)),
  usage: nested(7, Usage),
  finished: nested(8, Finished),
  failed: nested(9, Failed),
  evicted: bool(10),
});
/** One generation, folded. */
export type GenerationState = Infer<typeof GenerationState>;

export const CustomState = message({ seq: uint64(1), custom: nested(2, Custom) });
export type CustomState = Infer<typeof CustomState>;

export const Snapshot = message({
  epoch: string(1),
  through: uint64(2),
  generations: repeated(nested(3, GenerationState)),
  customs: repeated(nested(4, CustomState)),
  cause: enumeration(5, ["asked", "trimmed", "rewind"]),
});
/** Everything up to a seq, folded. */
export type Snapshot = Infer<typeof Snapshot>;

export const Rewind = message({
  previousEpoch: string(1),
  validThrough: uint64(2),
  epoch: string(3),
});
/** The channel has another writer; what was seen past `validThrough` did not survive. */
export type Rewind = Infer<typeof Rewind>;

export const End = message({
  reason: enumeration(1, ["complete", "unsubscribed", "deleted", "evicted", "forbidden"]),
  lastSeq: uint64(2),
});
/** Nothing will follow on this subscription. */
export type End = Infer<typeof End>;

// Times (4 and 5) are for those who ask for them; this client does not.
export const Frame = message({
  alias: uint32(1),
  firstSeq: uint64(2),
  events: repeated(nested(3, ChannelEvent)),
  news: oneof({ snapshot: nested(6, Snapshot), rewind: nested(7, Rewind), end: nested(8, End) }),
});
/** Consecutive events of one channel, or one piece of news about the subscription. */
export type Frame = Infer<typeof Frame>;

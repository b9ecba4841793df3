// proto/tokenway/v1/event.proto: what a generation can say. The comments there are the documentation.

import {
  bool,
  bytes,
  double,
  enumeration,
  type Infer,
  message,
  nested,
  oneof,
  optional,
  string,
  uint32,
  uint64,
} from "./schema.js";

export const Started = message({
  id: string(1),
  model: string(2),
  provider: string(3),
  dialect: string(4),
  createdMs: uint64(5),
  traceparent: string(6),
});
/** The first event of a generation. */
export type Started = Infer<typeof Started>;

export const Reasoning = message({ text: string(1), signature: string(2), encrypted: string(3) });
/** A piece of the model's reasoning. */
export type Reasoning = Infer<typeof Reasoning>;

export const ToolCall = message({
  index: uint32(1),
  id: string(2),
  name: string(3),
  runBy: enumeration(4, ["client", "server"]),
});
/** A tool call begins. */
export type ToolCall = Infer<typeof ToolCall>;

export const ToolArguments = message({ index: uint32(1), arguments: string(2) });
/** A piece of a tool call's arguments. */
export type ToolArguments = Infer<typeof ToolArguments>;

export const Citation = message({ data: bytes(1) });
/** A source the model names: JSON as the provider gave it. */
export type Citation = Infer<typeof Citation>;

export const Media = message({
  mime: string(1),
  data: bytes(2),
  index: uint32(3),
  part: uint32(4),
  last: bool(5),
});
/** A binary part. */
export type Media = Infer<typeof Media>;

export const Usage = message({
  input: uint64(1),
  output: uint64(2),
  cachedInput: uint64(3),
  cacheWrite: uint64(4),
  reasoning: uint64(5),
  native: bytes(6),
  estimated: bool(7),
  cost: optional(double(8)),
});
/** Token counts; the last one of a generation holds. */
export type Usage = Infer<typeof Usage>;

export const Resumed = message({
  from: string(1),
  to: string(2),
  reason: string(3),
  dialect: string(4),
});
/** The generation goes on at another target. */
export type Resumed = Infer<typeof Resumed>;

const reason = enumeration(1, [
  "unspecified",
  "stop",
  "length",
  "tool_calls",
  "content_filter",
  "refusal",
  "pause",
]);

export const ChoiceFinished = message({ reason, nativeReason: optional(string(2)) });
/** One of several choices ended. */
export type ChoiceFinished = Infer<typeof ChoiceFinished>;

export const Finished = ChoiceFinished;
/** The generation ended well. */
export type Finished = Infer<typeof Finished>;

export const Failed = message({
  code: enumeration(1, [
    "unspecified",
    "cancelled",
    "upstream_error",
    "upstream_cut",
    "timeout",
    "limit",
    "gateway_lost",
  ]),
  message: string(2),
  phase: enumeration(3, ["unspecified", "connect", "first_token", "idle", "total", "silent"]),
  status: uint32(4),
});
/** The generation ended badly. */
export type Failed = Infer<typeof Failed>;

export const Custom = message({ type: string(1), data: bytes(2) });
/** Published by the app or a viewer; `data` is JSON. */
export type Custom = Infer<typeof Custom>;

export const Native = message({ dialect: string(1), name: string(2), data: bytes(3) });
/** A whole provider payload that the other words cannot say. */
export type Native = Infer<typeof Native>;

export const ChannelEvent = message({
  text: string(1),
  generation: uint32(2),
  choice: uint32(3),
  kind: oneof({
    started: nested(4, Started),
    reasoning: nested(5, Reasoning),
    refusal: string(6),
    toolCall: nested(7, ToolCall),
    toolArguments: nested(8, ToolArguments),
    citation: nested(9, Citation),
    media: nested(10, Media),
    usage: nested(11, Usage),
    resumed: nested(12, Resumed),
    choiceFinished: nested(13, ChoiceFinished),
    finished: nested(14, Finished),
    failed: nested(15, Failed),
    custom: nested(16, Custom),
    native: nested(17, Native),
  }),
});
/** One event. Without `kind` it is a text event and `text` is the delta. */
export type ChannelEvent = Infer<typeof ChannelEvent>;

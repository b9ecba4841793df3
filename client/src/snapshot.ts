// What a channel looks like at one moment. Values, shared between moments where nothing changed.

import type { TokenwayError } from "./errors.js";
import type { TextView } from "./text.js";
import type { Failed, Finished, Resumed, Started, ToolCall, Usage } from "./wire/event.js";
import type { End } from "./wire/frame.js";

/** A tool call as far as it is known. */
export interface ToolCallSnapshot {
  readonly index: number;
  readonly id: string;
  readonly name: string;
  readonly runBy: ToolCall["runBy"];
  /** JSON text; whole only once the generation has ended. */
  readonly arguments: TextView;
}

/** One of a generation's answers. */
export interface ChoiceSnapshot {
  readonly choice: number;
  readonly text: TextView;
  readonly reasoning: TextView;
  readonly refusal: TextView;
  readonly toolCalls: readonly ToolCallSnapshot[];
  /** Set where the generation has several choices and this one ended. */
  readonly finished: Finished | undefined;
}

/** A binary part. */
export interface MediaSnapshot {
  readonly index: number;
  readonly mime: string;
  readonly parts: readonly Uint8Array[];
  readonly complete: boolean;
}

/** One generation. Its flat members are those of choice 0. */
export interface GenerationSnapshot extends Omit<ChoiceSnapshot, "choice" | "finished"> {
  readonly index: number;
  /** Undefined where the subscription began after it. */
  readonly started: Started | undefined;
  readonly state: "running" | "finished" | "failed";
  readonly choices: readonly ChoiceSnapshot[];
  /** JSON as the provider gave it. */
  readonly citations: readonly unknown[];
  readonly media: readonly MediaSnapshot[];
  readonly usage: Usage | undefined;
  readonly resumed: readonly Resumed[];
  readonly finished: Finished | undefined;
  readonly failed: Failed | undefined;
  /** Its content was given up to keep the channel within its bytes. */
  readonly evicted: boolean;
}

/** A custom event. */
export interface CustomSnapshot {
  readonly seq: number;
  readonly type: string;
  /** The publisher's JSON. */
  readonly data: unknown;
}

/** One channel. */
export interface ChannelSnapshot {
  readonly channel: string;
  /** Undefined until the gateway has told. */
  readonly epoch: string | undefined;
  /** The last seq that is folded in. */
  readonly seq: number;
  /** `pending` until the gateway has told how things stand; `detached` after `detach()`. */
  readonly status: "pending" | "open" | "ended" | "failed" | "detached";
  readonly end: End["reason"] | undefined;
  readonly error: TokenwayError | undefined;
  readonly generations: readonly GenerationSnapshot[];
  readonly customs: readonly CustomSnapshot[];
}

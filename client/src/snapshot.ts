// What a channel looks like at one moment. Values, shared between moments where nothing changed.

import type { TokenwayError } from "./errors.js";
import type { TextView } from "./text.js";
import type { Failed, Finished, Resumed, Started, ToolCall, Usage } from "./wire/event.js";
import type { End } from "./wire/frame.js";

/** A tool call as far as it is known. */
export interface ToolCallSnapshot {
  /** Its place among the calls of its choice. */
  readonly index: number;
  /** The provider's id of it; the tool's result refers to it. */
  readonly id: string;
  /** The tool's name. */
  readonly name: string;
  /** Who runs it: the app, or the provider itself. */
  readonly runBy: ToolCall["runBy"];
  /** JSON text; whole only once the generation has ended. */
  readonly arguments: TextView;
}

/** One of a generation's answers. */
export interface ChoiceSnapshot {
  /** Its number; 0 where there is only one. */
  readonly choice: number;
  /** The answer so far. */
  readonly text: TextView;
  /** What the model thought before, as far as the provider shows it. */
  readonly reasoning: TextView;
  /** Why it does not answer; empty if it does. */
  readonly refusal: TextView;
  /** In the order in which they began. */
  readonly toolCalls: readonly ToolCallSnapshot[];
  /** Set where the generation has several choices and this one ended. */
  readonly finished: Finished | undefined;
}

/** A binary part. */
export interface MediaSnapshot {
  /** Which of the generation's binary parts it is. */
  readonly index: number;
  /** Its media type. */
  readonly mime: string;
  /** Its bytes so far, in order. */
  readonly parts: readonly Uint8Array[];
  /** Whether all of it has come. */
  readonly complete: boolean;
}

/** One generation. Its flat members are those of choice 0. */
export interface GenerationSnapshot extends Omit<ChoiceSnapshot, "choice" | "finished"> {
  /** Its number on the channel, from 0. */
  readonly index: number;
  /** Undefined where the subscription began after it. */
  readonly started: Started | undefined;
  /** Whether it runs, or how it ended. */
  readonly state: "running" | "finished" | "failed";
  /** Its answers; several only if several were asked for. */
  readonly choices: readonly ChoiceSnapshot[];
  /** JSON as the provider gave it. */
  readonly citations: readonly unknown[];
  /** Its binary parts. */
  readonly media: readonly MediaSnapshot[];
  /** The last token counts. */
  readonly usage: Usage | undefined;
  /** The times that it went on at another provider. */
  readonly resumed: readonly Resumed[];
  /** How it ended, if it ended well. */
  readonly finished: Finished | undefined;
  /** How it ended, if it ended badly. */
  readonly failed: Failed | undefined;
  /** Its content was given up to keep the channel within its bytes. */
  readonly evicted: boolean;
}

/** A custom event. */
export interface CustomSnapshot {
  /** Its number on the channel. */
  readonly seq: number;
  /** As the publisher called it. */
  readonly type: string;
  /** The publisher's JSON. */
  readonly data: unknown;
}

/** One channel. */
export interface ChannelSnapshot {
  /** The channel's id. */
  readonly channel: string;
  /** Undefined until the gateway has told. */
  readonly epoch: string | undefined;
  /** The last seq that is folded in. */
  readonly seq: number;
  /** `pending` until the gateway has told how things stand; `detached` after `detach()`. */
  readonly status: "pending" | "open" | "ended" | "failed" | "detached";
  /** Why nothing more comes, once the gateway has said so. */
  readonly end: End["reason"] | undefined;
  /** Why it failed, if it did. */
  readonly error: TokenwayError | undefined;
  /** In the order in which they began. */
  readonly generations: readonly GenerationSnapshot[];
  /** What was published, in order. */
  readonly customs: readonly CustomSnapshot[];
}

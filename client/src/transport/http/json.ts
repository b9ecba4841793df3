// The JSON forms of the SSE view and the long poll, as the messages that the other carriers bring.
// Which index a generation has is not in its events: the head tells of those so far, and each `started` adds one.

import { type ChannelEvent, ChannelEvent as Event } from "../../wire/event.js";
import type { ChoiceState, GenerationState, Rewind, Snapshot } from "../../wire/frame.js";
import type { GenerationHead } from "../../wire/session.js";

/** An event as the gateway tells it. */
export interface Told {
  /** `EPOCH.SEQ`; missing where it is no event of the log. */
  readonly id?: string | undefined;
  readonly event: string;
  readonly data: Json;
}

/** A JSON object of the gateway's; what is missing reads as undefined. */
// biome-ignore lint/suspicious/noExplicitAny: its members are as the gateway documents them, and are read one by one.
export type Json = Readonly<Record<string, any>>;

/** Where a channel stands. */
export interface Head {
  readonly epoch: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly generations: readonly GenerationHead[];
}

const utf8 = new TextEncoder();
const bytes = (json: unknown): Uint8Array => utf8.encode(JSON.stringify(json) ?? "null");
const binary = (base64: string): Uint8Array =>
  Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

/** Reads one channel's JSON. */
export class Reading {
  /** The generations' indexes by their ids. */
  readonly #indexes = new Map<string, number>();
  readonly #heads: GenerationHead[] = [];

  /** Takes the head in. */
  head(data: Json): Head {
    for (const one of data.generations ?? []) this.#learn(one);
    const { epoch, first_seq: firstSeq, last_seq: lastSeq } = data;
    return { epoch, firstSeq, lastSeq, generations: [...this.#heads] };
  }

  /** An event of the log. One that this version does not know says nothing, and its seq counts all the same. */
  event(name: string, data: Json): ChannelEvent {
    if (name === "started") this.#learn(data);
    const generation = this.#indexes.get(data.generation) ?? 0;
    const text = name === "text" ? data.text : "";
    return Event.create({ text, generation, choice: data.choice ?? 0, kind: kindOf(name, data) });
  }

  /** A snapshot event. Nobody asked for it unless `asked`. */
  snapshot(data: Json, cause: Snapshot["cause"]): Snapshot {
    const { epoch, through, generations, customs } = data;
    return {
      epoch,
      through,
      cause,
      generations: generations.map((one: Json, index: number) => this.#generation(one, index)),
      customs: customs.map(({ seq, type, data: said }: Json) => ({
        seq,
        custom: { type, data: bytes(said) },
      })),
    };
  }

  #learn(data: Json): void {
    if (!data.generation || this.#indexes.has(data.generation)) return;
    const index = this.#heads.push({ index: this.#heads.length, started: startedOf(data) }) - 1;
    this.#indexes.set(data.generation, index);
  }

  #generation(one: Json, index: number): GenerationState {
    this.#learn(one);
    const known = this.#heads[index]?.started;
    return {
      index,
      // What speaks now may be another than at first: the snapshot knows, the head knows the dialect.
      started: { ...startedOf(one), dialect: known?.dialect ?? "" },
      state: one.state,
      choices: (one.choices ?? [{ ...one, choice: 0, finish_reason: null }]).map(choiceOf),
      citations: (one.citations ?? []).map(({ data }: Json) => ({ data: bytes(data) })),
      media: (one.media ?? []).map(({ mime, data, index: given }: Json, place: number) => {
        return { mime, data: binary(data), index: given ?? place, part: 0, last: true };
      }),
      usage: one.usage ? usageOf(one.usage) : undefined,
      finished: finishedOf(one.finish_reason, one.native_finish_reason),
      failed: one.error ? failedOf(one.error) : undefined,
      evicted: one.evicted ?? false,
    };
  }
}

/** A rewind event. */
export const rewindOf = (data: Json): Rewind => ({
  previousEpoch: data.previous_epoch,
  validThrough: data.valid_through,
  epoch: data.epoch,
});

const startedOf = ({ generation, model, provider, dialect, created_ms, traceparent }: Json) => ({
  id: generation ?? "",
  model: model ?? "",
  provider: provider ?? "",
  dialect: dialect ?? "",
  createdMs: created_ms ?? 0,
  traceparent: traceparent ?? "",
});

const choiceOf = (one: Json): ChoiceState => ({
  choice: one.choice,
  text: one.text ?? "",
  reasoning: one.reasoning ?? "",
  refusal: one.refusal ?? "",
  toolCalls: (one.tool_calls ?? []).map((call: Json, place: number) => ({
    call: callOf({ index: place, ...call }),
    arguments: call.arguments,
  })),
  finished: finishedOf(one.finish_reason, one.native_finish_reason),
  sealed: [],
});

const callOf = ({ index, id, name, run_by: runBy }: Json) => ({ index, id, name, runBy });

const finishedOf = (reason: ChoiceFinish["reason"] | null, native: string | null) =>
  reason ? { reason, nativeReason: native ?? undefined } : undefined;
type ChoiceFinish = NonNullable<ChoiceState["finished"]>;

const failedOf = ({ code, message, phase, status }: Json) => ({
  code,
  message: message ?? "",
  phase: phase ?? "unspecified",
  status: status ?? 0,
});

const usageOf = (one: Json) => ({
  input: one.input,
  output: one.output,
  cachedInput: one.cached_input,
  cacheWrite: one.cache_write,
  reasoning: one.reasoning,
  native: "native" in one ? bytes(one.native) : new Uint8Array(),
  estimated: one.estimated,
  cost: one.cost ?? undefined,
});

function kindOf(name: string, data: Json): ChannelEvent["kind"] {
  switch (name) {
    case "started":
      return { case: name, value: startedOf(data) };
    case "reasoning": {
      const { text = "", signature = "", encrypted = "" } = data;
      return { case: name, value: { text, signature, encrypted } };
    }
    case "refusal":
      return { case: name, value: data.text };
    case "tool_call":
      return { case: "toolCall", value: callOf(data) };
    case "tool_arguments":
      return { case: "toolArguments", value: { index: data.index, arguments: data.arguments } };
    case "citation":
      return { case: name, value: { data: bytes(data.data) } };
    case "media": {
      const { mime, index, part, last } = data;
      return { case: name, value: { mime, data: binary(data.data), index, part, last } };
    }
    case "usage":
      return { case: name, value: usageOf(data) };
    case "resumed": {
      const { from, to, reason, dialect = "" } = data;
      return { case: name, value: { from, to, reason, dialect } };
    }
    case "choice_finished":
    case "finished": {
      const nativeReason = data.native_reason ?? undefined;
      const which = name === "finished" ? name : "choiceFinished";
      return { case: which, value: { reason: data.reason, nativeReason } };
    }
    case "failed":
      return { case: name, value: failedOf(data) };
    case "custom":
      return { case: name, value: { type: data.type, data: bytes(data.data) } };
    case "native":
      return {
        case: name,
        value: { dialect: data.dialect, name: data.name, data: bytes(data.data) },
      };
    default:
      // Text, or what this version does not know: that one's seq counts all the same.
      return undefined;
  }
}

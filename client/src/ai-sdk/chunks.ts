// A generation as parts of a UI message: everything said so far in one piece, then what follows. Pure.
//
// The same as the gateway's own `GET /v1/channels/{id}/ui-message-stream`; shows the first of several choices.

import type { FinishReason, UIMessageChunk } from "ai";
import type { ChannelEvent, Failed, Finished, GenerationSnapshot, Usage } from "tokenway";

type Voice = "text" | "reasoning";

interface Tool {
  readonly id: string;
  readonly name: string;
  readonly runBy: string;
  input: string;
}

const FINISH: Readonly<Record<string, FinishReason>> = {
  stop: "stop",
  length: "length",
  tool_calls: "tool-calls",
  content_filter: "content-filter",
  refusal: "content-filter",
};

/** Writes one generation's parts. */
export class Chunks {
  readonly #write: (chunk: UIMessageChunk) => void;
  readonly #continues: boolean;
  readonly #tools = new Map<number, Tool>();
  readonly #media = new Map<number, Uint8Array[]>();
  readonly #files = new Set<number>();
  /** How much of each was written, in UTF-16 units and pieces. */
  readonly #said = { text: 0, refusal: 0, reasoning: 0, citations: 0 };
  /** What every viewer can read of the message's origin. */
  #about: { readonly generation: string } | undefined;
  #open: { readonly voice: Voice; readonly id: string } | undefined;
  #voices = 0;
  #sources = 0;
  #usage: Usage | undefined;
  #over = false;

  /** One that `continues` belongs to the message that the chat ends with, and gives it no other id. */
  constructor(write: (chunk: UIMessageChunk) => void, continues = false) {
    this.#write = write;
    this.#continues = continues;
  }

  /** Whether the last part was written. */
  get over(): boolean {
    return this.#over;
  }

  /** Everything that was not written yet. Call it first, and whenever the channel begins anew with a snapshot. */
  catchUp(so: GenerationSnapshot): void {
    if (this.#over) return;
    if (!this.#about) {
      const generation = so.started?.id ?? "";
      this.#about = { generation };
      const messageMetadata = { tokenway: this.#about };
      const named = this.#continues ? {} : { messageId: generation };
      this.#write({ type: "start", ...named, messageMetadata });
      this.#write({ type: "start-step" });
    }
    this.#reasoning(so.reasoning.after(this.#said.reasoning));
    this.#text(so.text.after(this.#said.text));
    this.#refusal(so.refusal.after(this.#said.refusal));
    for (const citation of so.citations.slice(this.#said.citations)) this.#source(citation);
    for (const { mime, parts, complete, index } of so.media) {
      if (this.#files.has(index)) continue;
      if (complete) this.#file(index, mime, parts);
      else this.#media.set(index, [...parts]);
    }
    for (const call of so.toolCalls) {
      if (!this.#tools.has(call.index)) this.#call(call.index, call.id, call.name, call.runBy);
      const written = this.#tools.get(call.index)?.input.length ?? 0;
      this.#input(call.index, call.arguments.after(written));
    }
    this.#usage = so.usage;
    if (so.finished) this.#finish(so.finished);
    if (so.failed) this.#fail(so.failed);
  }

  /** One more event of this generation. */
  event(event: ChannelEvent): void {
    if (this.#over || event.choice !== 0) return;
    const { kind } = event;
    switch (kind?.case) {
      case undefined:
        this.#text(event.text);
        break;
      case "refusal":
        this.#refusal(kind.value);
        break;
      case "reasoning":
        this.#reasoning(kind.value.text);
        break;
      case "toolCall":
        this.#call(kind.value.index, kind.value.id, kind.value.name, kind.value.runBy);
        break;
      case "toolArguments":
        this.#input(kind.value.index, kind.value.arguments);
        break;
      case "citation":
        this.#source(json(new TextDecoder().decode(kind.value.data)));
        break;
      case "media": {
        const { index, mime, data, last } = kind.value;
        const parts = [...(this.#media.get(index) ?? []), data];
        this.#media.set(index, parts);
        if (last) this.#file(index, mime, parts);
        break;
      }
      case "usage":
        this.#usage = kind.value;
        break;
      case "finished":
        this.#finish(kind.value);
        break;
      case "failed":
        this.#fail(kind.value);
        break;
    }
  }

  #text(delta: string): void {
    this.#said.text += delta.length;
    this.#say("text", delta);
  }

  /** Read as text: the SDK has no part of its own for it. */
  #refusal(delta: string): void {
    this.#said.refusal += delta.length;
    this.#say("text", delta);
  }

  #reasoning(delta: string): void {
    this.#said.reasoning += delta.length;
    this.#say("reasoning", delta);
  }

  #say(voice: Voice, delta: string): void {
    if (delta === "") return;
    if (this.#open?.voice !== voice) {
      this.#close();
      this.#open = { voice, id: String(this.#voices++) };
      this.#write({ type: `${voice}-start`, id: this.#open.id });
    }
    this.#write({ type: `${voice}-delta`, id: this.#open.id, delta });
  }

  #close(): void {
    if (this.#open) this.#write({ type: `${this.#open.voice}-end`, id: this.#open.id });
    this.#open = undefined;
  }

  #call(index: number, id: string, name: string, runBy: string): void {
    this.#close();
    const tool = { id, name, runBy, input: "" };
    this.#tools.set(index, tool);
    this.#write({ type: "tool-input-start", toolCallId: id, toolName: name, ...executed(tool) });
  }

  #input(index: number, fragment: string): void {
    const tool = this.#tools.get(index);
    if (tool === undefined || fragment === "") return;
    tool.input += fragment;
    this.#write({ type: "tool-input-delta", toolCallId: tool.id, inputTextDelta: fragment });
  }

  /** What comes of the inputs at the end. One that was cut, or whose generation failed, must not be run. */
  #endInputs(finished: boolean): void {
    for (const tool of this.#tools.values()) {
      const named = { toolCallId: tool.id, toolName: tool.name, ...executed(tool) };
      const input = json(tool.input.trim() || "{}");
      if (input === undefined || !finished) {
        const errorText = "the tool call was cut before its input was complete";
        this.#write({ type: "tool-input-error", input: tool.input, errorText, ...named });
      } else this.#write({ type: "tool-input-available", input, ...named });
    }
    this.#tools.clear();
  }

  /** A page or a document; what is neither has no part of its own in the SDK. */
  #source(citation: unknown): void {
    this.#said.citations += 1;
    const all = citation as Record<string, Record<string, unknown> | undefined> | string | null;
    const inner =
      typeof all === "string"
        ? { url: all }
        : (all?.url_citation ?? all?.file_citation ?? all?.web ?? all ?? {});
    const first = (...names: string[]): string | undefined =>
      names.map((name) => (inner as Record<string, unknown>)[name]).find(isText);
    const sourceId = `source-${this.#sources}`;
    const url = first("url", "uri");
    if (url?.startsWith("http")) {
      const title = first("title");
      this.#write({ type: "source-url", sourceId, url, ...(title === undefined ? {} : { title }) });
    } else {
      const title = first("document_title", "filename", "title");
      if (title === undefined) return;
      const mediaType = first("type") === "page_location" ? "application/pdf" : "text/plain";
      this.#write({ type: "source-document", sourceId, mediaType, title });
    }
    this.#sources += 1;
  }

  #file(index: number, mediaType: string, parts: readonly Uint8Array[]): void {
    this.#files.add(index);
    this.#media.delete(index);
    this.#close();
    // Pieces of a length that base64 need not pad, and that `fromCharCode` takes as arguments.
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    let encoded = "";
    for (let from = 0; from < whole.length; from += 0x6000) {
      encoded += btoa(String.fromCharCode(...whole.subarray(from, from + 0x6000)));
    }
    this.#write({ type: "file", mediaType, url: `data:${mediaType};base64,${encoded}` });
  }

  #finish({ reason }: Finished): void {
    this.#close();
    this.#endInputs(true);
    this.#write({ type: "finish-step" });
    const usage = this.#usage && {
      inputTokens: this.#usage.input,
      outputTokens: this.#usage.output,
      totalTokens: this.#usage.input + this.#usage.output,
      cachedInputTokens: this.#usage.cachedInput,
      reasoningTokens: this.#usage.reasoning,
    };
    this.#write({
      type: "finish",
      finishReason: FINISH[reason] ?? "other",
      messageMetadata: { tokenway: { ...this.#about, ...(usage && { usage }) } },
    });
    this.#over = true;
  }

  /** A stop is no error to the SDK. */
  #fail({ code, message }: Failed): void {
    this.#close();
    this.#endInputs(false);
    this.#write(
      code === "cancelled" ? { type: "abort" } : { type: "error", errorText: message || code },
    );
    this.#over = true;
  }
}

const isText = (value: unknown): value is string => typeof value === "string";

const executed = (tool: Tool) => (tool.runBy === "server" ? { providerExecuted: true } : {});

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

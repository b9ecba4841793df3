// Folds events into what they say together. What one event costs does not depend on what came before it, and a
// commit makes new values only of what changed since the last one.

import type {
  ChoiceSnapshot,
  CustomSnapshot,
  GenerationSnapshot,
  MediaSnapshot,
  ToolCallSnapshot,
} from "./snapshot.js";
import { TextBuffer } from "./text.js";
import type {
  ChannelEvent,
  Failed,
  Finished,
  Media,
  Resumed,
  Started,
  ToolCall,
  Usage,
} from "./wire/event.js";
import type { ChoiceState, GenerationState, Snapshot } from "./wire/frame.js";

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The JSON inside a field; undefined where a publisher sent something else. */
export function json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch {
    return undefined;
  }
}

/** A value that is made again only after `change`. */
abstract class Part<T> {
  #value: T | undefined;

  protected change(): void {
    this.#value = undefined;
  }

  protected abstract make(): T;

  commit(): T {
    this.#value ??= this.make();
    return this.#value;
  }
}

class CallPart extends Part<ToolCallSnapshot> {
  readonly #call: ToolCall;
  readonly #arguments: TextBuffer;

  constructor(call: ToolCall, args = "") {
    super();
    this.#call = call;
    this.#arguments = new TextBuffer(args);
  }

  append(fragment: string): void {
    this.#arguments.append(fragment);
    this.change();
  }

  protected make(): ToolCallSnapshot {
    const { index, id, name, runBy } = this.#call;
    return { index, id, name, runBy, arguments: this.#arguments.view() };
  }
}

class ChoicePart extends Part<ChoiceSnapshot> {
  readonly #choice: number;
  readonly #text: TextBuffer;
  readonly #reasoning: TextBuffer;
  readonly #refusal: TextBuffer;
  readonly #calls = new Map<number, CallPart>();
  #finished: Finished | undefined;

  constructor(choice: number, state?: ChoiceState) {
    super();
    this.#choice = choice;
    this.#text = new TextBuffer(state?.text);
    this.#reasoning = new TextBuffer(state?.reasoning);
    this.#refusal = new TextBuffer(state?.refusal);
    this.#finished = state?.finished;
    for (const one of state?.toolCalls ?? []) {
      if (one.call) this.#calls.set(one.call.index, new CallPart(one.call, one.arguments));
    }
  }

  apply(event: ChannelEvent): void {
    const { kind } = event;
    if (kind === undefined) this.#text.append(event.text);
    else if (kind.case === "reasoning") this.#reasoning.append(kind.value.text);
    else if (kind.case === "refusal") this.#refusal.append(kind.value);
    else if (kind.case === "choiceFinished") this.#finished = kind.value;
    else if (kind.case === "toolCall") {
      this.#calls.set(kind.value.index, new CallPart(kind.value));
    } else if (kind.case === "toolArguments") {
      this.#calls.get(kind.value.index)?.append(kind.value.arguments);
    }
    this.change();
  }

  protected make(): ChoiceSnapshot {
    return {
      choice: this.#choice,
      text: this.#text.view(),
      reasoning: this.#reasoning.view(),
      refusal: this.#refusal.view(),
      toolCalls: [...this.#calls.values()].map((call) => call.commit()),
      finished: this.#finished,
    };
  }
}

class MediaPart extends Part<MediaSnapshot> {
  readonly #index: number;
  readonly #mime: string;
  readonly #parts: Uint8Array[] = [];
  #complete = false;

  constructor(index: number, mime: string) {
    super();
    this.#index = index;
    this.#mime = mime;
  }

  take(media: Media): void {
    // A view would keep the whole frame in memory.
    this.#parts.push(media.data.slice());
    this.#complete ||= media.last;
    this.change();
  }

  protected make(): MediaSnapshot {
    const [index, mime, complete] = [this.#index, this.#mime, this.#complete];
    return { index, mime, parts: [...this.#parts], complete };
  }
}

class GenerationPart extends Part<GenerationSnapshot> {
  readonly #index: number;
  #started: Started | undefined;
  readonly #choices = new Map<number, ChoicePart>();
  readonly #citations: unknown[] = [];
  readonly #media = new Map<number, MediaPart>();
  readonly #resumed: Resumed[] = [];
  #usage: Usage | undefined;
  #finished: Finished | undefined;
  #failed: Failed | undefined;
  readonly #evicted: boolean;
  #state: GenerationSnapshot["state"];

  constructor(index: number, state?: GenerationState) {
    super();
    this.#index = index;
    this.#started = state?.started;
    this.#usage = state?.usage;
    this.#finished = state?.finished;
    this.#failed = state?.failed;
    this.#evicted = state?.evicted ?? false;
    this.#state = state?.state ?? "running";
    // Number 0 is always there.
    this.#choices.set(0, new ChoicePart(0));
    for (const one of state?.choices ?? [])
      this.#choices.set(one.choice, new ChoicePart(one.choice, one));
    for (const one of state?.citations ?? []) this.#citations.push(json(one.data));
    for (const one of state?.media ?? []) this.#takeMedia(one);
  }

  start(started: Started): void {
    this.#started ??= started;
    this.change();
  }

  apply(event: ChannelEvent): void {
    this.change();
    const { kind } = event;
    switch (kind?.case) {
      case "started":
        this.#started = kind.value;
        break;
      case "citation":
        this.#citations.push(json(kind.value.data));
        break;
      case "media":
        this.#takeMedia(kind.value);
        break;
      case "usage":
        this.#usage = kind.value;
        break;
      case "resumed":
        this.#resumed.push(kind.value);
        break;
      case "finished":
        this.#finished = kind.value;
        this.#state = "finished";
        break;
      case "failed":
        this.#failed = kind.value;
        this.#state = "failed";
        break;
      case "native":
        // Whoever wants these reads the events: there is no fold of what has no words.
        break;
      default:
        this.#choice(event.choice).apply(event);
    }
  }

  #choice(number: number): ChoicePart {
    let choice = this.#choices.get(number);
    if (choice === undefined) {
      choice = new ChoicePart(number);
      this.#choices.set(number, choice);
    }
    return choice;
  }

  #takeMedia(media: Media): void {
    let part = this.#media.get(media.index);
    if (part === undefined) {
      part = new MediaPart(media.index, media.mime);
      this.#media.set(media.index, part);
    }
    part.take(media);
  }

  protected make(): GenerationSnapshot {
    const first = this.#choice(0).commit();
    return {
      index: this.#index,
      started: this.#started,
      state: this.#state,
      text: first.text,
      reasoning: first.reasoning,
      refusal: first.refusal,
      toolCalls: first.toolCalls,
      choices: [...this.#choices.values()].map((choice) => choice.commit()),
      citations: [...this.#citations],
      media: [...this.#media.values()].map((media) => media.commit()),
      usage: this.#usage,
      resumed: [...this.#resumed],
      finished: this.#finished,
      failed: this.#failed,
      evicted: this.#evicted,
    };
  }
}

/** What a fold gives. */
export interface Folded {
  readonly generations: readonly GenerationSnapshot[];
  readonly customs: readonly CustomSnapshot[];
}

/** One channel's fold. */
export class Fold extends Part<Folded> {
  readonly #generations = new Map<number, GenerationPart>();
  /** The names of generations, also of those that ended before the subscription began. */
  readonly #names = new Map<number, Started>();
  #customs: CustomSnapshot[] = [];
  #customsShown: readonly CustomSnapshot[] = [];

  /** Names a generation. It is shown once it says something: it may have ended long ago. */
  introduce(index: number, started: Started | undefined): void {
    if (started === undefined) return;
    this.#names.set(index, started);
    this.#generations.get(index)?.start(started);
    this.change();
  }

  apply(seq: number, event: ChannelEvent): void {
    this.change();
    if (event.kind?.case === "custom") {
      const { type, data } = event.kind.value;
      this.#customs.push({ seq, type, data: json(data) });
    } else {
      this.#generation(event.generation).apply(event);
    }
  }

  /** Forgets everything and takes this. */
  replace(snapshot: Snapshot): void {
    this.change();
    this.#generations.clear();
    for (const one of snapshot.generations) {
      this.#generations.set(one.index, new GenerationPart(one.index, one));
    }
    this.#customs = [];
    this.#customsShown = [];
    for (const { seq, custom } of snapshot.customs) {
      if (custom) this.#customs.push({ seq, type: custom.type, data: json(custom.data) });
    }
  }

  protected make(): Folded {
    if (this.#customsShown.length !== this.#customs.length) this.#customsShown = [...this.#customs];
    return {
      generations: [...this.#generations.values()].map((one) => one.commit()),
      customs: this.#customsShown,
    };
  }

  #generation(index: number): GenerationPart {
    let generation = this.#generations.get(index);
    if (generation === undefined) {
      generation = new GenerationPart(index);
      const name = this.#names.get(index);
      if (name !== undefined) generation.start(name);
      this.#generations.set(index, generation);
    }
    return generation;
  }
}

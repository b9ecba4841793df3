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
import type { ChannelEvent, Finished, Media, Resumed, Started, ToolCall } from "./wire/event.js";
import { type ChoiceState, GenerationState, type Snapshot } from "./wire/frame.js";

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
    this.#parts.push(media.data);
    this.#complete ||= media.last;
    this.change();
  }

  protected make(): MediaSnapshot {
    const [index, mime, complete] = [this.#index, this.#mime, this.#complete];
    return { index, mime, parts: [...this.#parts], complete };
  }
}

/** What is said of a generation once and for all, or anew. */
type Said = Omit<GenerationState, "choices" | "citations" | "media">;

class GenerationPart extends Part<GenerationSnapshot> {
  #said: Said;
  readonly #choices = new Map<number, ChoicePart>();
  readonly #citations: unknown[] = [];
  readonly #media = new Map<number, MediaPart>();
  readonly #resumed: Resumed[] = [];

  constructor({ choices, citations, media, ...said }: GenerationState) {
    super();
    this.#said = said;
    // Number 0 is always there.
    this.#choice(0);
    for (const one of choices) this.#choices.set(one.choice, new ChoicePart(one.choice, one));
    for (const one of citations) this.#citations.push(json(one.data));
    for (const one of media) this.#takeMedia(one);
  }

  say(said: Partial<Said>): void {
    this.#said = { ...this.#said, ...said };
    this.change();
  }

  apply(event: ChannelEvent): void {
    this.change();
    const { kind } = event;
    switch (kind?.case) {
      case "started":
      case "usage":
        this.say({ [kind.case]: kind.value });
        break;
      case "citation":
        this.#citations.push(json(kind.value.data));
        break;
      case "media":
        this.#takeMedia(kind.value);
        break;
      case "resumed":
        this.#resumed.push(kind.value);
        // Whoever looks now wants to know who speaks now.
        if (this.#said.started) {
          const { to: provider, dialect } = kind.value;
          this.say({ started: { ...this.#said.started, provider, ...(dialect && { dialect }) } });
        }
        break;
      case "finished":
      case "failed":
        this.say({ state: kind.case, [kind.case]: kind.value });
        break;
      case "native":
        // Whoever wants these reads the events: there is no fold of what has no words.
        break;
      default:
        this.#choice(event.choice).apply(event);
    }
  }

  #choice(number: number): ChoicePart {
    return obtain(this.#choices, number, () => new ChoicePart(number));
  }

  #takeMedia(media: Media): void {
    const { index, mime } = media;
    obtain(this.#media, index, () => new MediaPart(index, mime)).take(media);
  }

  protected make(): GenerationSnapshot {
    const { choice, finished, ...first } = this.#choice(0).commit();
    return {
      ...first,
      ...this.#said,
      choices: [...this.#choices.values()].map((one) => one.commit()),
      citations: [...this.#citations],
      media: [...this.#media.values()].map((media) => media.commit()),
      resumed: [...this.#resumed],
    };
  }
}

/** The key's value, made if there is none. */
function obtain<V>(map: Map<number, V>, key: number, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
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
    this.#generations.get(index)?.say({ started });
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
      this.#generations.set(one.index, new GenerationPart(one));
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
    const started = this.#names.get(index);
    const make = () => new GenerationPart(GenerationState.create({ index, started }));
    return obtain(this.#generations, index, make);
  }
}

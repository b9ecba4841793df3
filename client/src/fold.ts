// Folds events into what they say together. What one event costs does not depend on what came before it, and a commit
// makes new values only of what changed since the last one.

import type {
  ChoiceSnapshot,
  CustomSnapshot,
  GenerationSnapshot,
  ToolCallSnapshot,
} from "./snapshot.js";
import { TextBuffer } from "./text.js";
import type { ChannelEvent, Finished, Media, Resumed, Started, ToolCall } from "./wire/event.js";
import { ChoiceState, GenerationState, type Snapshot } from "./wire/frame.js";

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The JSON inside a field; undefined where a publisher sent something else. */
export function json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch {
    return undefined;
  }
}

/** A list that grows; its views are shared until it does. */
class Grown<T> {
  readonly #all: T[] = [];
  #view: readonly T[] = [];

  push(one: T): void {
    this.#all.push(one);
  }

  view(): readonly T[] {
    if (this.#view.length < this.#all.length) this.#view = [...this.#all];
    return this.#view;
  }
}

interface Call {
  readonly call: ToolCall;
  readonly text: TextBuffer;
  /** What it looked like, until it changes. */
  value?: ToolCallSnapshot | undefined;
}

const callOf = (one: Call): ToolCallSnapshot => {
  one.value ??= { ...one.call, arguments: one.text.view() };
  return one.value;
};

class Choice {
  readonly #number: number;
  readonly text: TextBuffer;
  readonly reasoning: TextBuffer;
  readonly refusal: TextBuffer;
  readonly calls = new Map<number, Call>();
  finished: Finished | undefined;
  /** What it looked like, until it changes. */
  value: ChoiceSnapshot | undefined;

  constructor({ choice, text, reasoning, refusal, finished, toolCalls }: ChoiceState) {
    this.#number = choice;
    this.text = new TextBuffer(text);
    this.reasoning = new TextBuffer(reasoning);
    this.refusal = new TextBuffer(refusal);
    this.finished = finished;
    for (const { call, arguments: args } of toolCalls) if (call) this.call(call, args);
  }

  call(call: ToolCall, args = ""): void {
    this.calls.set(call.index, { call, text: new TextBuffer(args) });
  }

  commit(): ChoiceSnapshot {
    this.value ??= {
      choice: this.#number,
      text: this.text.view(),
      reasoning: this.reasoning.view(),
      refusal: this.refusal.view(),
      toolCalls: [...this.calls.values()].map(callOf),
      finished: this.finished,
    };
    return this.value;
  }
}

/** What is said of a generation once and for all, or anew. */
type Said = Omit<GenerationState, "choices" | "citations" | "media">;

interface Binary {
  readonly index: number;
  readonly mime: string;
  readonly parts: Grown<Uint8Array>;
  complete: boolean;
}

class Generation {
  said: Said;
  readonly #choices = new Map<number, Choice>();
  readonly #citations = new Grown<unknown>();
  readonly #media = new Map<number, Binary>();
  readonly #resumed = new Grown<Resumed>();
  #value: GenerationSnapshot | undefined;

  constructor({ choices, citations, media, ...said }: GenerationState) {
    this.said = said;
    // Number 0 is always there.
    this.#choice(0);
    for (const one of choices) this.#choices.set(one.choice, new Choice(one));
    for (const { data } of citations) this.#citations.push(json(data));
    media.forEach(this.#takeMedia);
  }

  say(said: Partial<Said>): void {
    this.said = { ...this.said, ...said };
    this.#value = undefined;
  }

  apply({ kind, choice, text }: ChannelEvent): void {
    this.#value = undefined;
    switch (kind?.case) {
      case undefined:
        this.#choice(choice).text.append(text);
        break;
      case "started":
      case "usage":
        this.say({ [kind.case]: kind.value });
        break;
      case "finished":
      case "failed":
        this.say({ state: kind.case, [kind.case]: kind.value });
        break;
      case "reasoning":
        this.#choice(choice).reasoning.append(kind.value.text);
        break;
      case "refusal":
        this.#choice(choice).refusal.append(kind.value);
        break;
      case "choiceFinished":
        this.#choice(choice).finished = kind.value;
        break;
      case "toolCall":
        this.#choice(choice).call(kind.value);
        break;
      case "toolArguments": {
        const call = this.#choice(choice).calls.get(kind.value.index);
        call?.text.append(kind.value.arguments);
        if (call) call.value = undefined;
        break;
      }
      case "citation":
        this.#citations.push(json(kind.value.data));
        break;
      case "media":
        this.#takeMedia(kind.value);
        break;
      case "resumed": {
        this.#resumed.push(kind.value);
        const { to: provider, dialect } = kind.value;
        const { started } = this.said;
        // Whoever looks now wants to know who speaks now.
        if (started) this.say({ started: { ...started, provider, ...(dialect && { dialect }) } });
      }
      // Whoever wants native events reads them: there is no fold of what has no words.
    }
  }

  commit(): GenerationSnapshot {
    const { choice, finished, ...first } = this.#choice(0, true).commit();
    this.#value ??= {
      ...first,
      ...this.said,
      choices: [...this.#choices.values()].map((one) => one.commit()),
      citations: this.#citations.view(),
      media: [...this.#media.values()].map((one) => ({ ...one, parts: one.parts.view() })),
      resumed: this.#resumed.view(),
    };
    return this.#value;
  }

  /** A choice that is about to change, unless it is only looked at. */
  #choice(number: number, kept = false): Choice {
    const make = () => new Choice(ChoiceState.create({ choice: number }));
    const one = obtain(this.#choices, number, make);
    if (!kept) one.value = undefined;
    return one;
  }

  readonly #takeMedia = ({ index, mime, data, last }: Media): void => {
    const make = () => ({ index, mime, parts: new Grown<Uint8Array>(), complete: false });
    const one = obtain(this.#media, index, make);
    one.parts.push(data);
    one.complete ||= last;
  };
}

/** The key's value, made if there is none. */
function obtain<V>(map: Map<number, V>, key: number, make: () => V): V {
  let value = map.get(key);
  if (!value) {
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
export class Fold {
  readonly #generations = new Map<number, Generation>();
  /** The names of generations, also of those that ended before the subscription began. */
  readonly #names = new Map<number, Started>();
  #customs = new Grown<CustomSnapshot>();
  #value: Folded | undefined;

  /** Names a generation. It is shown once it says something: it may have ended long ago. */
  introduce(index: number, started: Started | undefined): void {
    if (!started) return;
    this.#value = undefined;
    this.#names.set(index, started);
    this.#generations.get(index)?.say({ started });
  }

  apply(seq: number, event: ChannelEvent): void {
    const { kind, generation: index } = event;
    this.#value = undefined;
    if (kind?.case === "custom") {
      const { type, data } = kind.value;
      this.#customs.push({ seq, type, data: json(data) });
      return;
    }
    const make = () =>
      new Generation(GenerationState.create({ index, started: this.#names.get(index) }));
    obtain(this.#generations, index, make).apply(event);
  }

  /** Forgets everything and takes this. */
  replace(snapshot: Snapshot): void {
    this.#value = undefined;
    this.#generations.clear();
    for (const one of snapshot.generations) this.#generations.set(one.index, new Generation(one));
    this.#customs = new Grown();
    for (const { seq, custom } of snapshot.customs) {
      if (custom) this.#customs.push({ seq, type: custom.type, data: json(custom.data) });
    }
  }

  commit(): Folded {
    this.#value ??= {
      generations: [...this.#generations.values()].map((one) => one.commit()),
      customs: this.#customs.view(),
    };
    return this.#value;
  }
}

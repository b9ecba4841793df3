// One generation on the page.

import {
  type Batch,
  type Channel,
  type ChannelSnapshot,
  type Client,
  TokenwayError,
} from "../src/index.js";
import { announce, count, duration, inside, say } from "./dom.js";
import { Flow, Scroller } from "./flow.js";

/** What is kept of a card across reloads. */
export interface CardRecord {
  readonly channel: string;
  readonly title: string;
  readonly model: string;
  readonly generation: string;
  /** From the click to the first token; once known. */
  firstMs?: number;
}

/** The rate is that of so many milliseconds. */
const RATE_MS = 2_000;

/** A title made of text is so long at most, and not made before there is that much. */
const TITLE_UNITS = 48;

/** A card, from the click on. */
export class Card {
  readonly element: HTMLElement;
  readonly #client: Client;
  readonly #clickedAt: number | undefined;
  readonly #text: Flow;
  readonly #reasoning: Flow;
  readonly #output: Scroller;
  readonly #thoughts: Scroller;
  readonly #tools = new Map<number, Flow>();
  readonly #samples: [at: number, events: number][] = [];
  readonly #saved: () => void;
  readonly #parts = new Map<string, HTMLElement>();
  #labelled = "";
  #record: CardRecord;
  #channel: Channel | undefined;
  #unsubscribe: (() => void) | undefined;
  #snapshots = 0;
  #seen = 0;
  #tokens = 0;
  #firstAt = 0;
  #lastAt = 0;
  /** Events that were delivered for rendering although they had been before: always 0, and tested to be. */
  repeated = 0;
  onremove: () => void = () => undefined;
  ontitle: (title: string) => void = () => undefined;

  /** `saved` is called when the record has changed. `clickedAt` is unknown after a reload. */
  constructor(
    client: Client,
    record: CardRecord,
    clickedAt: number | undefined,
    saved: () => void,
  ) {
    this.#client = client;
    this.#record = record;
    this.#clickedAt = clickedAt;
    this.#saved = saved;
    const template = inside(document, "#card", HTMLTemplateElement);
    const copy = document.importNode(template.content, true);
    this.element = inside(copy, "article", HTMLElement);
    this.#text = new Flow(this.#part(".text"));
    this.#reasoning = new Flow(this.#part(".thoughts"));
    this.#output = new Scroller(this.#part(".output"));
    this.#thoughts = new Scroller(this.#part(".thoughts"));
    this.element.addEventListener("contentvisibilityautostatechange", (event) => {
      const skipped = event instanceof ContentVisibilityAutoStateChangeEvent && event.skipped;
      this.#output.show(!skipped);
      this.#thoughts.show(!skipped);
    });
    this.#buttons();
    this.#label();
    this.#state("pending", "starting");
  }

  get record(): CardRecord {
    return this.#record;
  }

  get channel(): Channel | undefined {
    return this.#channel;
  }

  get running(): boolean {
    return this.element.dataset.state === "running";
  }

  /** The channel is known: follow it from its beginning. */
  follow(record: CardRecord): void {
    this.#record = record;
    this.#label();
    const channel = this.#client.subscribe(record.channel, { from: "beginning" });
    this.#channel = channel;
    this.#unsubscribe = channel.subscribe(() => this.#render(channel.getSnapshot()));
    this.#count(channel).catch((error: unknown) => {
      if (!(error instanceof TokenwayError)) throw error;
    });
  }

  /** It could not be started. */
  failed(message: string): void {
    this.#state("failed", "not started");
    this.#failure(message);
  }

  /** Leaves; the generation goes on. */
  remove(): void {
    this.#unsubscribe?.();
    this.#channel?.detach();
    this.element.remove();
  }

  /** The figures; called a few times a second. Gives the rate of now. */
  figures(now: number): number {
    const metrics = this.#channel?.metrics();
    if (metrics === undefined) return 0;
    this.#samples.push([now, this.#tokens]);
    while ((this.#samples[0]?.[0] ?? now) < now - RATE_MS) this.#samples.shift();
    const [at, tokens] = this.#samples[0] ?? [now, 0];
    const current = now > at ? ((this.#tokens - tokens) * 1_000) / (now - at) : 0;
    const whole = this.#lastAt - this.#firstAt;
    const average = whole > 0 ? ((this.#tokens - 1) * 1_000) / whole : 0;
    const rate = this.running ? current : average;
    const { events, bytes, frames, gaps, duplicates } = metrics;
    this.#stat("seq", count(this.#seen));
    this.#stat("rate", rate > 0 ? rate.toFixed(rate < 10 ? 1 : 0) : "–");
    const { firstMs } = this.#record;
    this.#stat("first", firstMs === undefined ? "–" : duration(firstMs));
    this.#stat("frames", count(frames));
    this.#stat("bytes", events > 0 ? (bytes / events).toFixed(1) : "–");
    this.#stat("gaps", count(gaps), gaps > 0);
    this.#stat("duplicates", count(duplicates), duplicates > 0);
    return this.running ? current : 0;
  }

  async #count(channel: Channel): Promise<void> {
    for await (const batch of channel) this.#take(batch, performance.now());
  }

  #take(batch: Batch, now: number): void {
    if (batch.kind === "snapshot") this.#seen = batch.state.seq;
    if (batch.kind !== "events") return;
    batch.events.forEach((event, at) => {
      const seq = batch.firstSeq + at;
      if (seq <= this.#seen) this.repeated += 1;
      this.#seen = Math.max(this.#seen, seq);
      const { kind } = event;
      const delta =
        kind === undefined || kind.case === "reasoning" || kind.case === "toolArguments";
      if (!delta) return;
      this.#tokens += 1;
      this.#firstAt ||= now;
      this.#lastAt = now;
    });
  }

  #render(state: ChannelSnapshot): void {
    const generation = state.generations[0];
    if (generation !== undefined) {
      const { snapshots = 0 } = this.#channel?.metrics() ?? {};
      const write = snapshots === this.#snapshots ? "follow" : "replace";
      this.#snapshots = snapshots;
      let grown = this.#text[write](generation.text);
      if (this.#reasoning[write](generation.reasoning)) {
        this.#part(".reasoning").hidden = false;
        say(this.#part(".size"), `${count(this.#reasoning.length)} characters`);
        this.#thoughts.grown();
        this.#first();
      }
      for (const call of generation.toolCalls) {
        grown = this.#tool(call.index, call.name)[write](call.arguments) || grown;
      }
      if (grown) {
        this.#output.grown();
        this.#first();
      }
      this.#describe(generation);
    }
    if (state.status === "failed") {
      this.#state("failed", state.error?.code ?? "failed");
      this.#failure(state.error?.message ?? "");
    }
  }

  #describe(generation: ChannelSnapshot["generations"][number]): void {
    const { state, finished, failed, started } = generation;
    const before = this.element.dataset.state;
    this.#name(generation);
    if (started) this.#label(started.model, started.provider);
    if (state === "failed") {
      const phase = failed?.phase && failed.phase !== "unspecified" ? ` · ${failed.phase}` : "";
      this.#state("failed", `${failed?.code ?? "failed"}${phase}`);
      if (failed?.message) this.#failure(failed.message);
    } else if (state === "finished") {
      this.#state("finished", finished?.reason === "stop" ? "finished" : (finished?.reason ?? ""));
    } else {
      this.#state("running", "running");
    }
    if (before === "running" && state !== "running") {
      announce(`${this.#record.title || "Generation"}: ${state}`);
      this.figures(performance.now());
    }
  }

  #first(): void {
    if (this.#record.firstMs !== undefined || this.#clickedAt === undefined) return;
    this.#record.firstMs = performance.now() - this.#clickedAt;
    this.#saved();
  }

  #tool(index: number, name: string): Flow {
    const known = this.#tools.get(index);
    if (known !== undefined) return known;
    const list = this.#part(".tools");
    list.hidden = false;
    const item = document.createElement("li");
    const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", "#i-tool");
    icon.setAttribute("aria-hidden", "true");
    icon.append(use);
    const call = document.createElement("span");
    const title = document.createElement("b");
    title.textContent = name;
    const args = document.createElement("span");
    call.append(title, "(", args, ")");
    item.append(icon, call);
    list.append(item);
    const flow = new Flow(args);
    this.#tools.set(index, flow);
    return flow;
  }

  #buttons(): void {
    const on = (name: string, act: (button: HTMLElement) => void): void => {
      const button = this.#part(`[data-do="${name}"]`);
      button.addEventListener("click", () => act(button));
    };
    on("cancel", () => {
      this.#channel?.cancel(this.#record.generation || undefined).catch((error: unknown) => {
        this.#failure(error instanceof Error ? error.message : String(error));
      });
    });
    on("copy", (button) => {
      navigator.clipboard?.writeText(this.#link()).then(() => {
        button.dataset.done = "";
        announce("Link copied");
        setTimeout(() => delete button.dataset.done, 1_200);
      });
    });
    on("screen", () => open(this.#link(), "_blank", "noopener,width=760,height=820"));
    on("remove", () => this.onremove());
  }

  #link(): string {
    const link = new URL(location.href);
    link.hash = "";
    link.searchParams.set("channel", this.#record.channel);
    return link.href;
  }

  /** Whoever came by a link alone knows no title: the model is one, and so are the first words. */
  #name({ started, text, state }: ChannelSnapshot["generations"][number]): void {
    if (this.#record.title !== "") return;
    const title = started?.model || firstWords(text.toString(), state !== "running");
    if (title === "") return;
    this.#record = { ...this.#record, title };
    this.ontitle(title);
  }

  #label(model = this.#record.model, provider = ""): void {
    const { title, channel } = this.#record;
    const labelled = [title, channel, model, provider].join();
    if (labelled === this.#labelled) return;
    this.#labelled = labelled;
    say(this.#part("h2"), title || "Generation");
    this.#part("h2").title = title;
    say(
      this.#part(".meta"),
      [model === title ? "" : model, provider, channel].filter(Boolean).join(" · "),
    );
    this.#part(".output").setAttribute(
      "aria-label",
      title === "" || title === model ? "Answer" : `Answer to: ${title}`,
    );
  }

  #state(state: string, words: string): void {
    if (this.element.dataset.state !== state) this.element.dataset.state = state;
    say(this.#part(".chip"), words.replaceAll("_", " "));
  }

  #failure(message: string): void {
    const place = this.#part(".failure");
    place.hidden = message === "";
    say(place, message);
    this.#output.grown();
  }

  #stat(name: string, value: string, bad = false): void {
    const place = this.#part(`[data-stat="${name}"]`);
    say(place, value);
    place.toggleAttribute("data-bad", bad);
  }

  #part(at: string): HTMLElement {
    const known = this.#parts.get(at);
    if (known !== undefined) return known;
    const found = inside(this.element, at, HTMLElement);
    this.#parts.set(at, found);
    return found;
  }
}

/** Whole words from the beginning, once there are enough of them or no more to come. */
function firstWords(text: string, whole: boolean): string {
  const plain = text
    .slice(0, 4 * TITLE_UNITS)
    .replaceAll(/\s+/g, " ")
    .trim();
  if (plain.length <= TITLE_UNITS) return whole ? plain : "";
  return `${plain.slice(0, TITLE_UNITS).replace(/ \S*$/, "")}…`;
}

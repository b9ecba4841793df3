// All cards of the page: kept across reloads, newest first.

import type { Client } from "../src/index.js";
import { Card, type CardRecord } from "./card.js";
import { byId } from "./dom.js";

const KEY = "tokenway.cards";
/** How often the figures are brought up to date. */
const FIGURES_MS = 250;

/** The cards. */
export class Deck {
  readonly #client: Client;
  readonly #cards = new Set<Card>();
  readonly #grid = byId("generations", HTMLElement);
  readonly #empty = byId("empty", HTMLElement);
  readonly #kept: boolean;
  onfigures: (running: number, rate: number) => void = () => undefined;

  /** `kept`: whether the cards outlive a reload. */
  constructor(client: Client, kept: boolean) {
    this.#client = client;
    this.#kept = kept;
    setInterval(() => this.#figures(), FIGURES_MS);
  }

  get cards(): readonly Card[] {
    return [...this.#cards];
  }

  /** Brings back what this tab had. */
  restore(): void {
    for (const record of read()) this.show(record);
  }

  /** A card for a channel that exists. */
  show(record: CardRecord): Card {
    const card = this.#add(record, undefined);
    card.follow(record);
    return card;
  }

  /** A card for a channel that is still being asked for. */
  promise(title: string, model: string): Card {
    return this.#add({ channel: "", title, model, generation: "" }, performance.now());
  }

  readonly save = (): void => {
    if (!this.#kept) return;
    const records = [...this.#cards].map((card) => card.record).filter((one) => one.channel !== "");
    sessionStorage.setItem(KEY, JSON.stringify(records));
  };

  #add(record: CardRecord, clickedAt: number | undefined): Card {
    const card = new Card(this.#client, record, clickedAt, this.save);
    card.onremove = () => {
      card.remove();
      this.#cards.delete(card);
      this.#empty.hidden = this.#cards.size > 0;
      this.save();
    };
    this.#cards.add(card);
    this.#grid.prepend(card.element);
    this.#empty.hidden = true;
    return card;
  }

  #figures(): void {
    const now = performance.now();
    let running = 0;
    let rate = 0;
    for (const card of this.#cards) {
      rate += card.figures(now);
      if (card.running) running += 1;
    }
    this.onfigures(running, rate);
  }
}

function read(): readonly CardRecord[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter(isCardRecord) : [];
  } catch {
    return [];
  }
}

function isCardRecord(value: unknown): value is CardRecord {
  if (typeof value !== "object" || value === null) return false;
  const has = (name: string): boolean => typeof Reflect.get(value, name) === "string";
  return has("channel") && has("title") && has("model") && has("generation");
}

// What the end-to-end tests look at: `window.__tokenway`. It shows what the page shows, read from the page itself.

import type { Client } from "../src/index.js";
import type { Deck } from "./deck.js";

/** One channel, as rendered. */
export interface ChannelProbe {
  /** Generation 0's text, from the DOM. */
  readonly text: string;
  readonly seq: number;
  readonly epoch: string | undefined;
  readonly duplicates: number;
  readonly gaps: number;
  readonly state: string;
  /** Events that were rendered although they had been rendered before. */
  readonly repeated: number;
}

/** The way in for tests. */
export interface Probe {
  readonly client: Client;
  channels(): Record<string, ChannelProbe>;
}

declare global {
  interface Window {
    __tokenway?: Probe;
  }
}

/** Opens the way in. */
export function probe(client: Client, deck: Deck): void {
  window.__tokenway = {
    client,
    channels: () => Object.fromEntries(deck.cards.flatMap(one)),
  };
}

function one({ channel, element, repeated }: Deck["cards"][number]): [string, ChannelProbe][] {
  if (channel === undefined) return [];
  const { seq, epoch } = channel.getSnapshot();
  const { duplicates, gaps } = channel.metrics();
  const text = element.querySelector(".text")?.textContent ?? "";
  const state = element.dataset.state ?? "";
  return [[channel.id, { text, seq, epoch, duplicates, gaps, state, repeated }]];
}

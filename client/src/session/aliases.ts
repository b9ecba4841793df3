// Which feed an alias of a link stands for. What comes under an alias that was given up finds nobody.

import type { Feed } from "./feed.js";

/** Where a feed is attached. */
export interface Place {
  readonly link: number;
  readonly alias: number;
}

/** The aliases of all links. */
export class Aliases {
  readonly #links = new Map<number, { next: number; readonly feeds: Map<number, Feed> }>();
  readonly #places = new Map<Feed, Place>();

  /** The links that have said hello, oldest first. */
  get links(): Iterable<number> {
    return this.#links.keys();
  }

  /** Of several links the one that stays; undefined where none has said hello. */
  get newest(): number | undefined {
    return [...this.#links.keys()].at(-1);
  }

  /** The link says hello; of the others only `other` is still of use. */
  open(link: number, other: number | undefined): void {
    this.keep(other);
    this.#links.set(link, { next: 1, feeds: new Map() });
  }

  /** Forgets every link but one. */
  keep(link: number | undefined): void {
    for (const other of this.#links.keys()) if (other !== link) this.#links.delete(other);
  }

  /** Forgets a link. */
  drop(link: number): void {
    this.#links.delete(link);
  }

  /** Forgets everything. */
  clear(): void {
    this.#links.clear();
    this.#places.clear();
  }

  /** Gives the feed an alias on the link; from now on only what comes under it counts. */
  attach(link: number, feed: Feed): number {
    this.detach(feed);
    const book = this.#links.get(link);
    // Never used twice: a number that was given up may still be on its way.
    const alias = book ? book.next++ : 1;
    book?.feeds.set(alias, feed);
    this.#places.set(feed, { link, alias });
    return alias;
  }

  /** Gives the feed's alias up. */
  detach(feed: Feed): void {
    const at = this.#places.get(feed);
    if (at) this.giveUp(at);
    this.#places.delete(feed);
  }

  /** Leaves the alias for what may still come under it, and says that the feed wants no more. */
  retire(feed: Feed): void {
    this.#places.delete(feed);
  }

  /** What comes there finds nobody from now on. */
  giveUp({ link, alias }: Place): void {
    this.#links.get(link)?.feeds.delete(alias);
  }

  /** Whose alias it is. */
  find(link: number, alias: number): Feed | undefined {
    return this.#links.get(link)?.feeds.get(alias);
  }

  /** Where the feed is attached. */
  placeOf(feed: Feed): Place | undefined {
    return this.#places.get(feed);
  }
}

// Which feed an alias stands for, over all links. What comes under an alias that was given up finds nobody.

import type { Feed } from "./feed.js";

/** Where a feed is attached. */
export interface Place {
  readonly link: number;
  readonly alias: number;
}

/** The aliases of one client. None is used twice: a number that was given up may still be on its way. */
export class Aliases {
  readonly #feeds = new Map<number, Feed>();
  #next = 1;

  /** Gives the feed an alias on the link; from now on only what comes under it counts. */
  attach(link: number, feed: Feed): Place {
    this.detach(feed);
    feed.place = { link, alias: this.#next++ };
    this.#feeds.set(feed.place.alias, feed);
    return feed.place;
  }

  /** Gives the feed's alias up. */
  detach(feed: Feed): void {
    if (feed.place) this.#feeds.delete(feed.place.alias);
    feed.place = undefined;
  }

  /** Whose alias it is. */
  find(alias: number): Feed | undefined {
    return this.#feeds.get(alias);
  }
}

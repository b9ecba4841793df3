// Text that grows: appended in pieces, seen through views that never change, joined only when somebody reads it.

interface Pieces {
  readonly list: string[];
  length: number;
  /** The first `joinedCount` pieces as one string. */
  joined: string;
  joinedCount: number;
}

/** The one that appends. */
export class TextBuffer {
  readonly #pieces: Pieces = { list: [], length: 0, joined: "", joinedCount: 0 };

  constructor(text = "") {
    this.append(text);
  }

  append(text: string): void {
    if (text === "") return;
    this.#pieces.list.push(text);
    this.#pieces.length += text.length;
  }

  /** The text as it is now; costs the same however long it is. */
  view(): TextView {
    return new TextView(this.#pieces);
  }
}

/** The text as it was at one moment. */
export class TextView {
  readonly #pieces: Pieces;
  readonly #count: number;
  /** In UTF-16 units, as `String.length`. */
  readonly length: number;

  constructor(pieces: Pieces) {
    this.#pieces = pieces;
    this.#count = pieces.list.length;
    this.length = pieces.length;
  }

  /** The whole text. */
  toString(): string {
    const all = this.#pieces;
    if (all.joinedCount < this.#count) {
      all.joined += all.list.slice(all.joinedCount, this.#count).join("");
      all.joinedCount = this.#count;
    }
    return all.joined.slice(0, this.length);
  }

  /** What follows the first `at` units; costs only as much as there is of it. */
  after(at: number): string {
    let from = this.#count;
    let start = this.length;
    while (from > 0 && start > at) {
      from -= 1;
      start -= this.#pieces.list[from]?.length ?? 0;
    }
    const tail = this.#pieces.list.slice(from, this.#count).join("");
    return tail.slice(Math.max(0, at - start));
  }
}

// Text that grows: appended in pieces, seen through views that never change, joined only when somebody reads it. A text
// of any length is a few strings, so that what one more piece costs does not depend on how many came before.

interface Grown {
  /** Blocks that are full, and where each of them begins. */
  readonly blocks: string[];
  readonly starts: number[];
  /** What follows them. */
  open: string;
  length: number;
  /** The first `joinedCount` blocks as one string. */
  joined: string;
  joinedCount: number;
}

/** A block is full at this length; what is open is read whole for each view. */
const BLOCK = 4096;

/** The one that appends. */
export class TextBuffer {
  readonly #all: Grown = {
    blocks: [],
    starts: [],
    open: "",
    length: 0,
    joined: "",
    joinedCount: 0,
  };

  constructor(text = "") {
    this.append(text);
  }

  append(text: string): void {
    const all = this.#all;
    all.open += text;
    all.length += text.length;
    if (all.open.length < BLOCK) return;
    all.starts.push(all.length - all.open.length);
    all.blocks.push(all.open);
    all.open = "";
  }

  /** The text as it is now; costs the same however long it is. */
  view(): TextView {
    return new TextView(this.#all);
  }
}

/** The text as it was at one moment. */
export class TextView {
  readonly #all: Grown;
  /** In UTF-16 units, as `String.length`. */
  readonly length: number;

  /** Made by the package. */
  constructor(all: Grown) {
    this.#all = all;
    this.length = all.length;
  }

  /** The whole text. */
  toString(): string {
    const all = this.#all;
    const { blocks } = all;
    while (all.joinedCount < blocks.length) all.joined += blocks[all.joinedCount++];
    const { joined, open } = all;
    if (joined.length >= this.length) return joined.slice(0, this.length);
    return joined + open.slice(0, this.length - joined.length);
  }

  /** What follows the first `at` units; costs only as much as there is of it. */
  after(at: number): string {
    const { blocks, starts, open, length } = this.#all;
    let from = blocks.length;
    while (from > 0 && (starts[from] ?? length - open.length) > at) from -= 1;
    const start = starts[from] ?? length - open.length;
    return (blocks.slice(from).join("") + open).slice(Math.max(0, at - start), this.length - start);
  }
}

// Text that grows: appended in pieces, seen through views that never change, joined only when somebody reads it. A text
// of any length is a few strings, so that what one more piece costs does not depend on how many came before.

interface Grown {
  /** Each as long as `BLOCK`. */
  readonly blocks: string[];
  /** What follows them, shorter than that. */
  open: string;
  /** As many of the blocks as were asked for, as one string. */
  joined: string;
}

const BLOCK = 4096;

const lengthOf = ({ blocks, open }: Grown): number => blocks.length * BLOCK + open.length;

/** The one that appends. */
export class TextBuffer {
  readonly #all: Grown = { blocks: [], open: "", joined: "" };

  constructor(text = "") {
    this.append(text);
  }

  append(text: string): void {
    const all = this.#all;
    all.open += text;
    while (all.open.length >= BLOCK) {
      all.blocks.push(all.open.slice(0, BLOCK));
      all.open = all.open.slice(BLOCK);
    }
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
    this.length = lengthOf(all);
  }

  /** The whole text. */
  toString(): string {
    const all = this.#all;
    const { blocks, open } = all;
    all.joined += blocks.slice(all.joined.length / BLOCK).join("");
    return (all.joined + open).slice(0, this.length);
  }

  /** What follows the first `at` units; costs only as much as there is of it. */
  after(at: number): string {
    const { blocks, open } = this.#all;
    const skipped = Math.min(blocks.length, Math.floor(at / BLOCK));
    const tail = blocks.slice(skipped).join("") + open;
    return tail.slice(at - skipped * BLOCK, this.length - skipped * BLOCK);
  }
}

// Puts growing text on the page: only what is new is written, and a scroller that was at its end stays there.

import type { TextView } from "../src/text.js";

/** A text node longer than this is left alone: appending to it and laying it out again would cost ever more. */
const NODE_UNITS = 512;
/** So near to the end counts as at the end. */
const END_PX = 28;

/** One element that follows one text. */
export class Flow {
  readonly #element: Element;
  #length = 0;
  #node: Text | undefined;

  constructor(element: Element) {
    this.#element = element;
  }

  /** How much is on the page. */
  get length(): number {
    return this.#length;
  }

  /** Writes what is new; true if anything was. */
  follow(text: TextView): boolean {
    if (text.length === this.#length) return false;
    const fresh = text.after(this.#length);
    this.#length = text.length;
    if (this.#node === undefined || this.#node.length > NODE_UNITS) {
      this.#node = document.createTextNode("");
      this.#element.append(this.#node);
    }
    this.#node.appendData(fresh);
    return true;
  }

  /** The text was replaced: writes it again unless it only went on. */
  replace(text: TextView): boolean {
    const whole = text.toString();
    if (whole.startsWith(this.#element.textContent ?? "")) return this.follow(text);
    this.#element.textContent = "";
    this.#length = 0;
    this.#node = undefined;
    return this.follow(text);
  }
}

const due = new Set<Scroller>();
/** A box of another size has other line ends; what a box shows is put right before it is painted. */
const scrollers = new WeakMap<Element, Scroller>();
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) scrollers.get(target)?.grown();
});

/** A box that shows its end unless somebody scrolled up. */
export class Scroller {
  readonly #box: HTMLElement;
  #atEnd = true;
  #last = { top: 0, height: 0, width: 0 };
  #shown = true;

  constructor(box: HTMLElement) {
    this.#box = box;
    box.addEventListener("scroll", () => this.#scrolled());
    scrollers.set(box, this);
    sizes.observe(box);
  }

  /** Only moving up in a box that is as it was is somebody's wish; all else is layout, which may not end the following. */
  #scrolled(): void {
    if (!this.#shown) return;
    const { scrollTop: top, scrollHeight: height, clientWidth: width } = this.#box;
    const last = this.#last;
    this.#last = { top, height, width };
    if (top + this.#box.clientHeight >= height - END_PX) this.#atEnd = true;
    else if (top < last.top && height >= last.height && width === last.width) this.#atEnd = false;
  }

  /** Something was appended. All boxes move together after the frame's writing, so that layout is done once. */
  grown(): void {
    if (!this.#atEnd || !this.#shown) return;
    if (due.size === 0) queueMicrotask(moveAll);
    due.add(this);
  }

  /** The browser draws the box, or leaves it out because it is off the screen: then moving it would cost a layout. */
  show(shown: boolean): void {
    this.#shown = shown;
    this.grown();
  }

  move(): void {
    // Past any end: reading the true height first would not make it cheaper.
    this.#box.scrollTop = 1e9;
  }
}

function moveAll(): void {
  for (const one of due) one.move();
  due.clear();
}

// Snapshots that a UI can subscribe to, told about at most once per animation frame.

/** What `useSyncExternalStore` and its like want. */
export interface Readable<T> {
  /** Calls `listener` after each change; the returned function ends that. */
  subscribe(listener: () => void): () => void;
  /** The same value until the next change. */
  getSnapshot(): T;
}

/** Runs work once, soon; how soon is the page's rhythm. */
export type Schedule = (work: () => void) => void;

/** A hidden page has no animation frames, and its stores must not stand still for ever. */
const HIDDEN_MS = 250;

/** The next animation frame, or soon where there are none. */
export const onAnimationFrame: Schedule = (work) => {
  if (typeof requestAnimationFrame === "undefined") {
    setTimeout(work, 16);
    return;
  }
  const run = (): void => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    work();
  };
  const frame = requestAnimationFrame(run);
  const timer = setTimeout(run, HIDDEN_MS);
};

/** Gathers the work of many stores into one frame. */
export class Frames {
  readonly #schedule: Schedule;
  #due = new Set<() => void>();

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  /** Runs `work` in the next frame; asked for twice, it runs once. */
  request(work: () => void): void {
    const first = this.#due.size === 0;
    this.#due.add(work);
    if (first) this.#schedule(() => this.#run());
  }

  #run(): void {
    const due = this.#due;
    this.#due = new Set();
    for (const work of due) safely(work);
  }
}

/** What an app's listener throws is told as its own, and keeps no other from being called. */
function safely(work: () => void): void {
  try {
    work();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** A value made on demand, once per frame. */
export class Store<T> implements Readable<T> {
  readonly #make: () => T;
  readonly #frames: Frames;
  readonly #listeners = new Set<() => void>();
  #value: T | undefined;

  constructor(make: () => T, frames: Frames) {
    this.#make = make;
    this.#frames = frames;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly getSnapshot = (): T => {
    this.#value ??= this.#make();
    return this.#value;
  };

  /** What the value is made from has changed. */
  touch(): void {
    this.#frames.request(this.#commit);
  }

  readonly #commit = (): void => {
    this.#value = this.#make();
    for (const listener of this.#listeners) safely(listener);
  };
}

// What a trial needs of a browser, whichever it is. Every step has a time limit.

/** One page, in a profile of its own: it shares nothing with the others. */
export interface Page {
  /** Runs `work` in the page with `arg`, which goes over as JSON, and gives what it returns, as JSON too. */
  evaluate<A, T>(work: (arg: A) => T | Promise<T>, arg: A): Promise<T>;
  reload(): Promise<void>;
  screenshot(path: string): Promise<void>;
  /** One more, in the same profile, which goes with the page that was opened first. */
  beside(url: string): Promise<Page>;
  /** What the page's heap holds once all that nobody refers to is gone; where the browser tells. */
  heapBytes?(): Promise<number>;
  /** The bytes that the page's scripts ask for while `work` is done, whatever becomes of them; where the browser tells. */
  allocated?(work: () => Promise<void>): Promise<number>;
  /** What its main thread has done so far; where the browser tells. */
  work?(): Promise<Work>;
  close(): Promise<void>;
}

/** CPU time of a page's main thread, in milliseconds: it does not grow while other programs run. */
export interface Work {
  readonly taskMs: number;
}

/** When a page was let go. */
export type Thawed = (page: Page) => number;

/** One browser. */
export interface Browser {
  readonly name: "chromium" | "firefox";
  readonly version: string;
  open(url: string): Promise<Page>;
  /**
   * Stops every page for so long: how, differs. Then lets them go, one once the one before `isBack` where the browser can be
   * told to, and gives when each was let go, on the wall clock.
   */
  freeze(ms: number, isBack?: (page: Page, since: number) => unknown): Promise<Thawed>;
  /** How long each task of each page's main thread had the CPU within so many milliseconds; where the browser tells. */
  tasks?(pages: readonly Page[], ms: number): Promise<number[][]>;
  close(): Promise<void>;
}

/** Where and how it runs. */
export interface LaunchOptions {
  /** The network namespace it lives in; the test's own without. */
  readonly namespace?: string | undefined;
  readonly flags?: readonly string[] | undefined;
}

export const STEP_MS = 45_000;

/** Now, in milliseconds, on the wall clock that pages have, too. */
export const now = (): number => performance.timeOrigin + performance.now();

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** The promise, or an error that says what took too long. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Polls until `probe` gives something other than undefined. */
export async function until<T>(
  what: string,
  ms: number,
  probe: () => Promise<T | undefined>,
): Promise<T> {
  const deadline = Date.now() + ms;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${ms} ms`);
    await pause(50);
  }
}

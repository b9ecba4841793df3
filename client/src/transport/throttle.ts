// What a browser does to a page whose WebTransport sessions come to nothing, and how to live with it. Dials nothing.

/**
 * Chromium holds a page's sessions back: for 10 ms, doubled for each one of the last five minutes that came to nothing or
 * was given up, up to a minute. One that is given up while it is held back never reaches the network, so after so many
 * the others, replaced every 300 ms, would not either.
 */
export const FRUITLESS_MAX = 5;
/** Other browsers do not; but what is given up may stay pending in them. */
export const PENDING_MAX = 48;
const FRUITLESS_MS = 300_000;
/** From then on it is dialled so rarely that an attempt outlasts what it is held back for. */
export const RARELY_MS = FRUITLESS_MS / 8;
/** When each session of this page was dialled that is not open or never was. */
let fruitless: number[] = [];

/** Whether so many came to nothing that the other carriers come first. */
export function isWeary(): boolean {
  fruitless = fruitless.filter((at) => at > performance.now() - FRUITLESS_MS);
  // Only what Chromium is in has it.
  const { userAgentData } = (globalThis.navigator ?? {}) as { readonly userAgentData?: unknown };
  return fruitless.length >= (userAgentData ? FRUITLESS_MAX : PENDING_MAX);
}

/** A session is dialled; what it gives is called once it is open. Throws where it would only be held back. */
export function begin(): () => void {
  const begun = performance.now();
  if (isWeary() && begun - (fruitless.at(-1) ?? 0) < RARELY_MS) {
    throw new Error("the browser holds WebTransport back");
  }
  fruitless.push(begun);
  return () => {
    fruitless = fruitless.filter((at) => at !== begun);
  };
}

// How fast text that came in bursts is shown. Pure: arrivals and the time in, a length out.
//
// Each arrival is spread evenly over the lag: so text flows however it came, and everything is on the screen at the
// latest one lag after it arrived.

/** Text lengths as they arrived. */
export class Pace {
  readonly #lagMs: number;
  /** Arrivals that are not wholly shown yet, oldest first. */
  #arrivals: { readonly units: number; readonly at: number }[] = [];
  /** What arrived so long ago that all of it is shown. */
  #settled: number;

  /** `shown` is on the screen already: what was there before anybody looked does not flow. */
  constructor(lagMs: number, shown: number) {
    this.#lagMs = lagMs;
    this.#settled = shown;
  }

  /** The text is `length` units long now. A shorter one than before begins anew. */
  arrive(length: number, now: number): void {
    const known = this.#arrivals.reduce((sum, { units }) => sum + units, this.#settled);
    if (length < known) {
      this.#arrivals = [];
      this.#settled = length;
    } else if (length > known) {
      this.#arrivals.push({ units: length - known, at: now });
    }
  }

  /** How much to show now, in UTF-16 units; never less than before. */
  shown(now: number): number {
    while (this.#arrivals[0] && now - this.#arrivals[0].at >= this.#lagMs) {
      this.#settled += this.#arrivals.shift()?.units ?? 0;
    }
    const flowing = this.#arrivals.map(({ units, at }) => (units * (now - at)) / this.#lagMs);
    return this.#settled + Math.floor(flowing.reduce((sum, part) => sum + part, 0));
  }

  /** In how many milliseconds everything is shown; 0 where it is. */
  left(now: number): number {
    const last = this.#arrivals.at(-1);
    return last ? Math.max(0, last.at + this.#lagMs - now) : 0;
  }
}

/** The first `length` units of a text, not cut within a character of two units. */
export function upTo(text: string, length: number): string {
  if (length >= text.length) return text;
  const last = text.charCodeAt(length - 1);
  const cut = last >= 0xd800 && last < 0xdc00;
  return text.slice(0, cut ? length - 1 : length);
}

// One channel, event by event: when each was said, its seq, and the frame that a viewer got it in; and again, at any speed.

import { byId, count, say } from "../dom.js";
import { type Channel, type Entry as Said, timeline } from "./gateway.js";

/** How many rows are shown at once; the newest of them. */
const ROWS_MAX = 2_000;

/** How many marks the lane of time has room for. */
const MARKS_MAX = 400;

/** An event, its place, and the frame that brings it to a viewer who has the gateway's frame interval. */
interface Entry extends Said {
  readonly at: number;
  readonly frame: number;
  readonly leavesMs: number;
}

/** Numbers the frames as a session's clock makes them: what comes after a quiet interval leaves at once, the rest with the next tick. */
export function framed(
  before: Entry | undefined,
  entries: readonly Said[],
  intervalMs: number,
): Entry[] {
  let [frame, leavesMs] = [before?.frame ?? 0, before?.leavesMs ?? Number.NEGATIVE_INFINITY];
  const begin = (before?.at ?? -1) + 1;
  return entries.map((entry, index) => {
    if (entry.at_ms > leavesMs) {
      [frame, leavesMs] = [frame + 1, Math.max(entry.at_ms, leavesMs + intervalMs)];
    }
    return { ...entry, at: begin + index, frame, leavesMs };
  });
}

/** The panel for one channel. */
export class TimelinePanel {
  readonly #panel = byId("timeline", HTMLElement);
  readonly #rows = byId("timeline-rows", HTMLTableSectionElement);
  readonly #text = byId("timeline-text", HTMLElement);
  readonly #about = byId("timeline-about", HTMLElement);
  readonly #speed = byId("speed", HTMLSelectElement);
  readonly #play = byId("play", HTMLButtonElement);
  readonly #lanes = byId("lanes", HTMLElement);
  #channel: Channel | undefined;
  #entries: Entry[] = [];
  #shown = 0;
  #replay: number | undefined;
  #reading = false;

  constructor() {
    this.#play.addEventListener("click", () => {
      if (this.#replay === undefined) this.#begin();
      else this.#stop();
    });
    byId("timeline-close", HTMLButtonElement).addEventListener("click", () => this.close());
  }

  /** Shows a channel. */
  async open(channel: Channel): Promise<void> {
    this.close();
    this.#channel = channel;
    say(byId("timeline-title", HTMLElement), channel.id);
    this.#panel.hidden = false;
    await this.read();
    this.#panel.scrollIntoView({ behavior: "smooth", block: "start" });
  }

  /** Shows none. */
  close(): void {
    this.#stop();
    this.#clear();
    this.#channel = undefined;
    this.#entries = [];
    this.#lanes.replaceChildren();
    this.#panel.hidden = true;
  }

  /** Reads on. A channel that is gone stays on the screen as it was. */
  async read(): Promise<void> {
    const channel = this.#channel;
    if (channel === undefined || this.#reading) return;
    this.#reading = true;
    try {
      for (let more = true; more; ) more = await this.#readPage(channel);
    } catch (error) {
      if (this.#channel === channel) say(this.#about, error instanceof Error ? error.message : "");
    } finally {
      this.#reading = false;
    }
    if (this.#replay === undefined) this.#show(this.#entries.length);
  }

  /** Whether there may be more. */
  async #readPage(channel: Channel): Promise<boolean> {
    const before = this.#entries.at(-1);
    const page = await timeline(channel, before?.seq ?? 0);
    if (this.#channel !== channel) return false;
    this.#entries.push(...framed(before, page.entries, page.frame_interval_ms));
    const { epoch, first_seq, last_seq, frame_interval_ms } = page;
    say(
      this.#about,
      `epoch ${epoch}, seq ${count(first_seq)}–${count(last_seq)}, frames of ${frame_interval_ms} ms`,
    );
    return page.entries.length > 0 && (this.#entries.at(-1)?.seq ?? 0) < last_seq;
  }

  #begin(): void {
    const first = this.#entries[0];
    if (first === undefined) return;
    say(this.#play, "Stop");
    this.#clear();
    let [saidMs, before] = [first.at_ms, performance.now()];
    const tick = (now: number): void => {
      saidMs += (now - before) * Number(this.#speed.value);
      before = now;
      let shown = this.#shown;
      while ((this.#entries[shown]?.at_ms ?? Number.POSITIVE_INFINITY) <= saidMs) shown++;
      this.#show(shown);
      if (shown === this.#entries.length) this.#stop();
      else this.#replay = requestAnimationFrame(tick);
    };
    this.#replay = requestAnimationFrame(tick);
  }

  #stop(): void {
    if (this.#replay === undefined) return;
    cancelAnimationFrame(this.#replay);
    this.#replay = undefined;
    say(this.#play, "Replay");
    this.#show(this.#entries.length);
  }

  #clear(): void {
    this.#shown = 0;
    this.#rows.replaceChildren();
    this.#text.replaceChildren();
  }

  /** Shows the first so many, which are never fewer than are shown. */
  #show(shown: number): void {
    const scroller = this.#rows.closest(".scroll") ?? this.#panel;
    // Who has scrolled up reads.
    const follows = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
    const fresh = this.#entries.slice(this.#shown, shown);
    const begin = this.#shown;
    this.#rows.append(
      ...fresh.slice(-ROWS_MAX).map((entry) => this.#row(entry, this.#entries[entry.at - 1])),
    );
    while (this.#rows.rows.length > ROWS_MAX) this.#rows.deleteRow(0);
    const said = fresh.filter((entry) => entry.event === "text").map((entry) => entry.text);
    if (said.length > 0) this.#text.append(said.join(""));
    this.#shown = shown;
    if (follows || begin === 0) {
      for (const one of [scroller, this.#text]) one.scrollTop = one.scrollHeight;
    }
    this.#mark();
  }

  #row(entry: Entry, before: Entry | undefined): HTMLTableRowElement {
    const row = document.createElement("tr");
    if (before !== undefined && before.frame !== entry.frame) row.className = "frame";
    const since = entry.at_ms - (this.#entries[0]?.at_ms ?? entry.at_ms);
    const gap = before === undefined ? 0 : entry.at_ms - before.at_ms;
    const cells = [
      [count(entry.seq), "number"],
      [`${(since / 1_000).toFixed(3)} s`, "number"],
      [gap === 0 ? "" : `+${count(gap)} ms`, "number soft"],
      [count(entry.frame), "number"],
      [entry.event, `kind k-${entry.event}`],
      [`${count(entry.bytes)} B`, "number soft"],
      [entry.text.replaceAll("\n", "⏎"), "said"],
    ];
    for (const [text = "", look = ""] of cells) {
      const cell = row.insertCell();
      cell.textContent = text;
      cell.className = look;
    }
    return row;
  }

  /** Where in time the last shown event is, and a mark for each event, thinned out to what can be seen. */
  #mark(): void {
    const [first, last] = [this.#entries[0], this.#entries.at(-1)];
    if (first === undefined || last === undefined) return;
    const whole = Math.max(1, last.at_ms - first.at_ms);
    const place = (entry: Entry): string =>
      `${(((entry.at_ms - first.at_ms) / whole) * 100).toFixed(2)}%`;
    const now = this.#entries[this.#shown - 1];
    this.#lanes.style.setProperty("--now", now === undefined ? "0%" : place(now));
    if (this.#lanes.dataset.seq === `${last.seq}` && this.#lanes.childElementCount > 0) return;
    this.#lanes.dataset.seq = `${last.seq}`;
    const step = Math.max(1, Math.ceil(this.#entries.length / MARKS_MAX));
    const marks = this.#entries.filter((entry, at) => at % step === 0 || entry === last);
    this.#lanes.replaceChildren(
      ...marks.map((entry) => {
        const mark = document.createElement("i");
        mark.className = `k-${entry.event}`;
        mark.style.left = place(entry);
        return mark;
      }),
    );
  }
}

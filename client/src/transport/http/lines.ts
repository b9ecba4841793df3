// Server-sent events, taken apart. Takes text however it was cut; costs as much as there is of it.

/** An event of the stream. */
export interface Sent {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: string;
}

/** So much text without the end of a line is no event of the gateway's: they are at most 256 KiB, a snapshot 64 MiB. */
const LINE_MAX = 64 * 1024 * 1024;

/** Cuts a stream into events. */
export class EventLines {
  /** The beginning of a line whose end has not come. */
  #parts: string[] = [];
  #length = 0;
  #id: string | undefined;
  #event = "";
  #data: string[] = [];

  /** Takes text and gives the events that it completes. */
  push(text: string): Sent[] {
    const events: Sent[] = [];
    let from = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", from)) {
      this.#parts.push(text.slice(from, end));
      this.#line(this.#parts.length === 1 ? (this.#parts[0] ?? "") : this.#parts.join(""), events);
      this.#parts = [];
      this.#length = 0;
      from = end + 1;
    }
    if (from < text.length) this.#parts.push(text.slice(from));
    this.#length += text.length - from;
    if (this.#length > LINE_MAX) throw new Error("a line without an end");
    return events;
  }

  #line(text: string, events: Sent[]): void {
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    if (line === "") {
      const data = this.#data.join("\n");
      if (this.#data.length > 0) events.push({ id: this.#id, event: this.#event, data });
      this.#id = undefined;
      this.#event = "";
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "id") this.#id = value;
    else if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
  }
}

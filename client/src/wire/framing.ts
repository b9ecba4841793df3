// Length-delimited messages: an unsigned varint, then that many bytes, one after another.
// The decoder takes the bytes however they were cut and never copies a byte more than a constant number of times. Whoever
// brings them may read the next ones into the same buffer: what is kept is a copy, what is given is good until then.

import { WireError, Writer } from "./protobuf.js";

/** A message longer than this is an error, not a reason to allocate. A folded channel is at most 8 MiB by default. */
export const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** The message after its length. */
export function delimit(message: Uint8Array): Uint8Array {
  const writer = new Writer();
  writer.bytes(message);
  return writer.finish();
}

/** Cuts a run of bytes back into messages. */
export class Deframer {
  /** What is not a whole message yet: it is joined only once there is enough for one. */
  #parts: Uint8Array[] = [];
  #held = 0;
  #needed = 0;

  /** Whether the bytes so far end inside a message. */
  get partial(): boolean {
    return this.#held > 0;
  }

  /** Takes bytes and gives the messages that they complete. */
  push(chunk: Uint8Array): Uint8Array[] {
    const messages: Uint8Array[] = [];
    this.#held += chunk.length;
    if (this.#held < this.#needed) {
      this.#parts.push(chunk.slice());
      return messages;
    }
    const bytes = this.#join(chunk);
    let at = 0;
    for (;;) {
      let length = 0;
      let scale = 1;
      let body = at;
      let byte = 0x80;
      while (byte >= 0x80 && body < bytes.length) {
        byte = bytes[body++] ?? 0;
        length += (byte & 0x7f) * scale;
        scale *= 0x80;
        if (length > MESSAGE_BYTES_MAX || body - at > 5) {
          throw new WireError("a message is longer than allowed");
        }
      }
      // Without the whole length, at least one byte more.
      const end = byte < 0x80 ? body + length : body + 1;
      this.#needed = end - at;
      if (end > bytes.length) break;
      messages.push(bytes.subarray(body, end));
      at = end;
    }
    this.#held = bytes.length - at;
    this.#parts = this.#held > 0 ? [bytes.slice(at)] : [];
    return messages;
  }

  #join(last: Uint8Array): Uint8Array {
    if (this.#parts.length === 0) return last;
    const bytes = new Uint8Array(this.#held);
    let at = 0;
    for (const part of [...this.#parts, last]) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}

// Length-delimited messages: an unsigned varint, then that many bytes, one after another.
// The decoder takes the bytes however they were cut and never copies a byte more than a constant number of times.

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
  #pending = new Uint8Array(0);
  #start = 0;
  #end = 0;

  /** Whether the bytes so far end inside a message. */
  get partial(): boolean {
    return this.#end > this.#start;
  }

  /** Takes bytes and gives the messages that they complete. */
  push(chunk: Uint8Array): Uint8Array[] {
    const messages: Uint8Array[] = [];
    if (!this.partial) {
      const used = scan(chunk, 0, chunk.length, messages);
      if (used < chunk.length) this.#keep(chunk.subarray(used));
      return messages;
    }
    this.#keep(chunk);
    const views: Uint8Array[] = [];
    this.#start = scan(this.#pending, this.#start, this.#end, views);
    // The buffer will be written over, so what leaves it is copied.
    for (const view of views) messages.push(view.slice());
    if (!this.partial) {
      this.#start = 0;
      this.#end = 0;
    }
    return messages;
  }

  #keep(chunk: Uint8Array): void {
    const held = this.#end - this.#start;
    const needed = held + chunk.length;
    if (this.#start + needed > this.#pending.length) {
      const room =
        needed * 2 <= this.#pending.length
          ? this.#pending
          : new Uint8Array(Math.max(needed * 2, 1024));
      room.set(this.#pending.subarray(this.#start, this.#end));
      this.#pending = room;
      this.#start = 0;
      this.#end = held;
    }
    this.#pending.set(chunk, this.#end);
    this.#end += chunk.length;
  }
}

/** Puts views of whole messages in `into` and says where the first one that is not whole begins. */
function scan(bytes: Uint8Array, start: number, end: number, into: Uint8Array[]): number {
  let at = start;
  while (at < end) {
    let length = 0;
    let scale = 1;
    let body = at;
    let complete = false;
    while (body < end && !complete) {
      const byte = bytes[body++] ?? 0;
      length += (byte & 0x7f) * scale;
      scale *= 0x80;
      complete = byte < 0x80;
      if (length > MESSAGE_BYTES_MAX || body - at > 5) {
        throw new WireError("a message is longer than allowed");
      }
    }
    if (!complete || body + length > end) return at;
    into.push(bytes.subarray(body, body + length));
    at = body + length;
  }
  return at;
}

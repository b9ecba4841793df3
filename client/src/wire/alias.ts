// A frame's alias, read and replaced without decoding what the frame holds: for whoever passes frames on.

import { Reader, VARINT, Writer } from "./protobuf.js";

// Tags of `Frame`: the field's number times 8, and the wire type.
const ALIAS = 1 * 8 + VARINT;
const EVENTS = 3 * 8 + 2;
const END = 8 * 8 + 2;

/** Whose frame it is, and whether it is the last of its subscription. Throws `WireError`. */
export function peek(frame: Uint8Array): { readonly alias: number; readonly ends: boolean } {
  const reader = new Reader(frame);
  let alias = 0;
  let ends = false;
  while (!reader.done) {
    const tag = reader.varint();
    // News never comes with events, and the alias comes before either: what follows need not be looked through.
    if (tag === EVENTS && alias !== 0) break;
    if (tag === ALIAS) {
      alias = reader.varint();
    } else {
      ends ||= tag === END;
      reader.skip(tag % 8);
    }
  }
  return { alias, ends };
}

/** The same frame under another alias, as a copy. Of a field that is there twice the last one counts. */
export function renamed(frame: Uint8Array, alias: number): Uint8Array {
  const writer = new Writer();
  writer.varint(ALIAS);
  writer.varint(alias);
  const tail = writer.finish();
  const copy = new Uint8Array(frame.length + tail.length);
  copy.set(frame);
  copy.set(tail, frame.length);
  return copy;
}

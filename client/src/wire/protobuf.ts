// Protocol Buffers' wire format: a reader and a writer of single values.
// Knows nothing of any message. 64-bit integers are numbers and are refused where a number cannot hold them.

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

/** Bytes that are not what the protocol says they are. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** Cut short, negative, or larger than a number can hold. */
const BAD_NUMBER = "bad number";
export const CUT_SHORT = "cut short";

const encoder = new TextEncoder();
// A delta may begin with U+FEFF, and it is text then, not a mark of byte order.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const latin = new TextDecoder("latin1");

/** Appends values to a buffer that grows. */
export class Writer {
  #buffer = new Uint8Array(64);
  #length = 0;

  /** What was written. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new WireError(BAD_NUMBER);
    }
    this.#reserve(10);
    let rest = value;
    // Division, not a shift: shifts cut a number to 32 bits.
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
  }

  double(value: number): void {
    this.#reserve(8);
    new DataView(this.#buffer.buffer).setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  /** The bytes after their length. */
  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  string(value: string): void {
    this.bytes(encoder.encode(value));
  }

  #reserve(extra: number): void {
    const needed = this.#length + extra;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}

/** A string shorter than this is a copy even where it is a slice of a longer one. */
const SHORT = 13;

/** Takes values from a run of bytes. */
export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #end: number;
  /** All bytes as Latin-1: most text is ASCII, and a slice of this costs no decoder and no view. */
  #latin: string | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#end = bytes.length;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let length = 0; length < 10 && !this.done; length++) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (Number.isSafeInteger(value)) return value;
        break;
      }
      scale *= 0x80;
    }
    throw new WireError(BAD_NUMBER);
  }

  double(): number {
    const { buffer, byteOffset } = this.#bytes;
    return new DataView(buffer, byteOffset + this.#take(8), 8).getFloat64(0, true);
  }

  /** A view of the bytes, not a copy. */
  bytes(): Uint8Array {
    const length = this.varint();
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  string(): string {
    const length = this.varint();
    const at = this.#take(length);
    let ascii = length < SHORT;
    for (let i = at; ascii && i < this.#at; i++) ascii = (this.#bytes[i] ?? 0) < 0x80;
    if (!ascii) return decoder.decode(this.#bytes.subarray(at, this.#at));
    this.#latin ??= latin.decode(this.#bytes);
    return this.#latin.slice(at, this.#at);
  }

  /** Reads a message, which ends where its length says. */
  inside<T>(read: (reader: Reader) => T): T {
    const length = this.varint();
    const outer = this.#end;
    this.#end = this.#take(length) + length;
    this.#at = this.#end - length;
    const value = read(this);
    this.#end = outer;
    return value;
  }

  /** Passes over a field that this version does not know. */
  skip(wire: number): void {
    if (wire === VARINT) while ((this.#bytes[this.#take(1)] ?? 0) >= 0x80);
    else if (wire === FIXED64) this.#take(8);
    else if (wire === BYTES) this.#take(this.varint());
    else if (wire === FIXED32) this.#take(4);
    else throw new WireError(`unknown wire type ${wire}`);
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#end) throw new WireError(CUT_SHORT);
    this.#at += length;
    return at;
  }
}

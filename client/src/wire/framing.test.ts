import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Deframer, delimit, MESSAGE_BYTES_MAX } from "./framing.js";
import { WireError, Writer } from "./protobuf.js";

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

describe("the deframer", () => {
  it("gives the same messages wherever the bytes are cut", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 });
    fc.assert(
      fc.property(messages, fc.array(fc.nat(400), { maxLength: 40 }), (whole, cuts) => {
        const bytes = concat(whole.map(delimit));
        const deframer = new Deframer();
        const out: Uint8Array[] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          out.push(...deframer.push(bytes.subarray(at, at + cut)));
          at = Math.min(bytes.length, at + cut);
        }
        expect(out).toEqual(whole);
        expect(deframer.partial).toBe(false);
      }),
      { numRuns: 1_000 },
    );
  });

  it("gives the same messages byte by byte", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (whole) => {
        const deframer = new Deframer();
        const out = [...concat(whole.map(delimit))].flatMap((b) => deframer.push(Uint8Array.of(b)));
        expect(out).toEqual(whole);
      }),
    );
  });

  it("gives the same messages where all bytes are read into one buffer", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 });
    fc.assert(
      fc.property(messages, fc.integer({ min: 1, max: 400 }), (whole, size) => {
        const bytes = concat(whole.map(delimit));
        const deframer = new Deframer();
        const out: Uint8Array[] = [];
        let buffer = new ArrayBuffer(size);
        for (let at = 0; at < bytes.length; at += size) {
          const chunk = new Uint8Array(buffer, 0, Math.min(size, bytes.length - at));
          chunk.set(bytes.subarray(at, at + size));
          out.push(...deframer.push(chunk).map((message) => message.slice()));
          // As a stream does that reads into a buffer: the old one is of no use any more.
          buffer = structuredClone(buffer, { transfer: [buffer] });
        }
        expect(out).toEqual(whole);
        expect(deframer.partial).toBe(false);
      }),
      { numRuns: 1_000 },
    );
  });

  it("says that it waits for the rest of a message", () => {
    const deframer = new Deframer();
    expect(deframer.push(new Uint8Array([3, 1]))).toEqual([]);
    expect(deframer.partial).toBe(true);
  });

  it("does not let a later push change a message that was handed out", () => {
    const deframer = new Deframer();
    deframer.push(new Uint8Array([2, 7]));
    const [first] = deframer.push(new Uint8Array([8, 2]));
    deframer.push(new Uint8Array([9, 9, 2, 5]));
    expect(first).toEqual(new Uint8Array([7, 8]));
  });

  it("refuses a length that no message has", () => {
    const writer = new Writer();
    writer.varint(MESSAGE_BYTES_MAX + 1);
    expect(() => new Deframer().push(writer.finish())).toThrow(WireError);
    expect(() => new Deframer().push(new Uint8Array(10).fill(0xff))).toThrow(WireError);
  });
});

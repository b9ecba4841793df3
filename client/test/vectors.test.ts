// The bytes that both sides agree on: proto/vectors/*.json, each a list of { name, hex, json }.
// `name` begins with the message's name (`Frame`, `ClientMessage`, `frame_of_text`, …); `hex` must decode and encode
// back to itself; `json`, where given, is proto3 JSON and must say the same as what was decoded.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ChannelEvent } from "../src/wire/event.js";
import { Frame } from "../src/wire/frame.js";
import type { Message } from "../src/wire/schema.js";
import { ClientMessage, Control, Hello, ServerMessage } from "../src/wire/session.js";

const folder = join(dirname(fileURLToPath(import.meta.url)), "../../proto/vectors");

interface Codec {
  decode(bytes: Uint8Array): unknown;
  again(bytes: Uint8Array): Uint8Array;
}

function codec<T>(type: Message<T>): Codec {
  return {
    decode: (bytes) => type.decode(bytes),
    again: (bytes) => type.encode(type.decode(bytes)),
  };
}

const codecs: readonly (readonly [prefix: string, codec: Codec])[] = [
  ["clientmessage", codec(ClientMessage)],
  ["servermessage", codec(ServerMessage)],
  ["control", codec(Control)],
  ["hello", codec(Hello)],
  ["frame", codec(Frame)],
  ["channelevent", codec(ChannelEvent)],
  ["event", codec(ChannelEvent)],
];

interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly json?: unknown;
}

function isVector(value: unknown): value is Vector {
  if (typeof value !== "object" || value === null) return false;
  return (
    "name" in value &&
    typeof value.name === "string" &&
    "hex" in value &&
    typeof value.hex === "string"
  );
}

function read(file: string): readonly Vector[] {
  const list: unknown = JSON.parse(readFileSync(join(folder, file), "utf8"));
  if (!Array.isArray(list) || !list.every(isVector))
    throw new Error(`${file}: not a list of vectors`);
  return list;
}

/** Every string and number that a value holds, whatever the members are called and in whatever order they come. */
function leaves(value: unknown, into: string[] = []): string[] {
  if (value instanceof Uint8Array) into.push(Buffer.from(value).toString("base64"));
  else if (typeof value === "object" && value !== null) {
    for (const one of Object.values(value)) leaves(one, into);
  } else if (typeof value === "string" || typeof value === "number") into.push(String(value));
  return into;
}

const files = existsSync(folder) ? readdirSync(folder).filter((one) => one.endsWith(".json")) : [];

describe("the shared vectors", () => {
  it.runIf(process.env.TOKENWAY_VECTORS_REQUIRED === "1")("are there", () => {
    expect(files.length).toBeGreaterThan(0);
  });

  for (const file of files) {
    it.each(read(file))(`${file}: $name`, ({ name, hex, json }) => {
      const plain = name.toLowerCase().replaceAll(/[^a-z]/g, "");
      const found = codecs.find(([prefix]) => plain.startsWith(prefix));
      if (found === undefined) throw new Error(`no codec for ${name}`);
      const bytes = new Uint8Array(Buffer.from(hex, "hex"));
      expect(Buffer.from(found[1].again(bytes)).toString("hex")).toBe(hex);
      if (json === undefined) return;
      const decoded = leaves(found[1].decode(bytes));
      // Every word of the JSON that is not an enum's own must be in what was decoded.
      for (const leaf of leaves(json)) {
        if (/^[A-Z]+(_[A-Z]+)+$/.test(leaf)) continue;
        expect(decoded).toContain(leaf);
      }
    });
  }

  it("have a codec for every name they may begin with", () => {
    expect(new Set(codecs.map(([prefix]) => prefix)).size).toBe(codecs.length);
  });
});

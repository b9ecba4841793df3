// The bytes that both sides agree on: proto/vectors/*.json, each a list of { name, hex, json }.
// The file says which message. `hex` must decode and encode back to the same, and all that `json` says must be in what
// was decoded. proto/vectors/README.md has the form.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Acks } from "../src/wire/acks.js";
import { Frame } from "../src/wire/frame.js";
import type { Message } from "../src/wire/schema.js";
import { ClientMessage, ServerMessage } from "../src/wire/session.js";

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

const codecs: Readonly<Record<string, Codec>> = {
  "acks.json": codec(Acks),
  "client_message.json": codec(ClientMessage),
  "frame.json": codec(Frame),
  "server_message.json": codec(ServerMessage),
};

/** Enums are numbers in the vectors and words here: they are held only against their bytes. */
const enums: ReadonlySet<string> = new Set([
  "cause",
  "code",
  "delivery",
  "phase",
  "reason",
  "runBy",
  "state",
]);

interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly json: unknown;
}

function isVector(value: unknown): value is Vector {
  if (typeof value !== "object" || value === null) return false;
  return (
    "name" in value &&
    typeof value.name === "string" &&
    "hex" in value &&
    typeof value.hex === "string" &&
    "json" in value
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
    for (const [name, one] of Object.entries(value)) {
      if (typeof one !== "number" || !enums.has(name)) leaves(one, into);
    }
  } else if (typeof value === "string" || typeof value === "number") into.push(String(value));
  return into;
}

const files = readdirSync(folder).filter((one) => one.endsWith(".json"));

describe("the shared vectors", () => {
  it("are of messages that are known here, and none is missing", () => {
    expect(files.sort()).toEqual(Object.keys(codecs).sort());
  });

  for (const [file, { decode, again }] of Object.entries(codecs)) {
    it.each(read(file))(`${file}: $name`, ({ hex, json }) => {
      const bytes = new Uint8Array(Buffer.from(hex, "hex"));
      // All but a frame's times, which this client does not ask for.
      const { timeBaseMs, timeDeltasMs, ...rest } = json as Record<string, unknown>;
      if (timeBaseMs === undefined) expect(again(bytes).length).toBe(bytes.length);
      expect(decode(again(bytes))).toEqual(decode(bytes));
      const decoded = leaves(decode(bytes));
      for (const leaf of leaves(rest)) expect(decoded).toContain(leaf);
    });
  }
});

// Messages as tables of fields, from which both the TypeScript type and the codec follow.
// Follows proto3: a default value is not written, an unknown field is passed over, the last of several wins.

import { BYTES, FIXED64, Reader, VARINT, WireError, Writer } from "./protobuf.js";

/** One member of a message: a field, or a oneof that spans several. */
export interface Field<T> {
  readonly numbers: readonly number[];
  /** The value where the wire says nothing. */
  absent(): T;
  /** Takes field `number` from the wire; `before` is what the member held. */
  read(reader: Reader, number: number, wire: number, before: T): T;
  /** Writes the value unless it is the default; with `always` even then: inside a oneof, presence is the message. */
  write(writer: Writer, value: T, always?: boolean): void;
}

type Shape = Record<string, Field<unknown>>;
type ValueOf<F> = F extends Field<infer T> ? T : never;
type Members<S extends Shape> = { readonly [K in keyof S]: ValueOf<S[K]> };

type Case<S extends Shape, K extends keyof S> = {
  readonly case: K;
  readonly value: Exclude<ValueOf<S[K]>, undefined>;
};

/** Exactly one of several members, named by `case`. */
export type OneOf<S extends Shape> =
  | { [K in keyof S & string]: Case<S, K> }[keyof S & string]
  | undefined;

/** A message's codec. */
export interface Message<T> {
  /** The message with defaults for everything that is not given. */
  create(init?: Partial<T>): T;
  encode(value: T): Uint8Array;
  /** Throws `WireError`. */
  decode(bytes: Uint8Array): T;
}

/** The TypeScript type of a message's values. */
export type Infer<M> = M extends Message<infer T> ? T : never;

/** A message of these members. */
export function message<S extends Shape>(shape: S): Message<Members<S>> {
  const rows = Object.entries(shape);
  const byNumber = members(shape);
  const blank = (): Record<string, unknown> => {
    const value: Record<string, unknown> = {};
    for (const [name, field] of rows) value[name] = field.absent();
    return value;
  };
  return {
    // The casts below hold because `blank` has filled every member of the shape.
    create: (init = {}) => ({ ...blank(), ...init }) as Members<S>,
    encode(value) {
      const writer = new Writer();
      const given: Record<string, unknown> = value;
      for (const [name, field] of rows) field.write(writer, given[name]);
      return writer.finish();
    },
    decode(bytes) {
      const value = blank();
      const reader = new Reader(bytes);
      while (!reader.done) {
        const tag = reader.varint();
        const wire = tag % 8;
        const number = (tag - wire) / 8;
        const member = byNumber.get(number);
        if (member === undefined) reader.skip(wire);
        else value[member[0]] = member[1].read(reader, number, wire, value[member[0]]);
      }
      return value as Members<S>;
    },
  };
}

interface Scalar<T> {
  readonly wire: number;
  readonly zero: T;
  /** Where it is not just `zero`. */
  isZero?(value: T): boolean;
  read(reader: Reader): T;
  write(writer: Writer, value: T): void;
}

const integer: Scalar<number> = {
  wire: VARINT,
  zero: 0,
  read: (reader) => reader.varint(),
  write: (writer, value) => writer.varint(value),
};
const text: Scalar<string> = {
  wire: BYTES,
  zero: "",
  read: (reader) => reader.string(),
  write: (writer, value) => writer.string(value),
};
const raw: Scalar<Uint8Array> = {
  wire: BYTES,
  zero: new Uint8Array(0),
  isZero: (value) => value.length === 0,
  // A copy: the carrier's buffer is used again, and a view would keep it all.
  read: (reader) => reader.bytes().slice(),
  write: (writer, value) => writer.bytes(value),
};
const truth: Scalar<boolean> = {
  wire: VARINT,
  zero: false,
  read: (reader) => reader.varint() !== 0,
  write: (writer, value) => writer.varint(+value),
};
const float: Scalar<number> = {
  wire: FIXED64,
  zero: 0,
  read: (reader) => reader.double(),
  write: (writer, value) => writer.double(value),
};

function expectWire(wire: number, expected: number, number: number): void {
  if (wire !== expected) throw new WireError(`field ${number} has wire type ${wire}`);
}

function single<T>(number: number, scalar: Scalar<T>): Field<T> {
  // Minus zero is a value of its own.
  const { isZero = (value) => Object.is(value, scalar.zero) } = scalar;
  return {
    numbers: [number],
    absent: () => scalar.zero,
    read(reader, _number, wire) {
      expectWire(wire, scalar.wire, number);
      return scalar.read(reader);
    },
    write(writer, value, always) {
      if (!always && isZero(value)) return;
      writer.tag(number, scalar.wire);
      scalar.write(writer, value);
    },
  };
}

export const uint32 = (number: number): Field<number> => single(number, integer);
export const uint64 = (number: number): Field<number> => single(number, integer);
export const string = (number: number): Field<string> => single(number, text);
export const bytes = (number: number): Field<Uint8Array> => single(number, raw);
export const bool = (number: number): Field<boolean> => single(number, truth);
export const double = (number: number): Field<number> => single(number, float);

/** An enum by its words, counted from 0. A number that this version does not know reads as the first word. */
export function enumeration<const W extends readonly [string, ...string[]]>(
  number: number,
  words: W,
): Field<W[number]> {
  return single<W[number]>(number, {
    wire: VARINT,
    zero: words[0],
    read: (reader) => words[reader.varint()] ?? words[0],
    write: (writer, value) => writer.varint(words.indexOf(value)),
  });
}

/** A message inside a message. */
export function nested<T>(number: number, type: Message<T>): Field<T | undefined> {
  const field = single<T>(number, {
    wire: BYTES,
    zero: undefined as T,
    read: (reader) => type.decode(reader.bytes()),
    write: (writer, value) => writer.bytes(type.encode(value)),
  });
  return optional(field);
}

/** A field whose absence differs from its default. */
export function optional<T>(field: Field<T>): Field<T | undefined> {
  return {
    numbers: field.numbers,
    absent: () => undefined,
    read: (reader, number, wire) => field.read(reader, number, wire, field.absent()),
    write(writer, value) {
      if (value !== undefined) field.write(writer, value, true);
    },
  };
}

/** Any number of values. */
export function repeated<T>(field: Field<T>): Field<readonly Exclude<T, undefined>[]> {
  return {
    numbers: field.numbers,
    absent: () => [],
    read(reader, number, wire, before) {
      const value = field.read(reader, number, wire, field.absent());
      // The array is the decoder's own until it is handed out: pushing keeps long runs linear.
      const values = before as Exclude<T, undefined>[];
      values.push(value as Exclude<T, undefined>);
      return values;
    },
    write(writer, values) {
      for (const value of values) field.write(writer, value, true);
    },
  };
}

/** One of several fields. */
export function oneof<S extends Shape>(shape: S): Field<OneOf<S>> {
  const byNumber = members(shape);
  return {
    numbers: [...byNumber.keys()],
    absent: () => undefined,
    read(reader, number, wire, before) {
      const member = byNumber.get(number);
      if (member === undefined) return before;
      const [name, field] = member;
      // The name and the value come from one row of the shape.
      return { case: name, value: field.read(reader, number, wire, field.absent()) } as OneOf<S>;
    },
    write(writer, chosen) {
      if (chosen !== undefined) shape[chosen.case]?.write(writer, chosen.value, true);
    },
  };
}

/** A shape's members by the numbers of their fields. */
function members(shape: Shape): Map<number, readonly [string, Field<unknown>]> {
  return new Map(
    Object.entries(shape).flatMap((member) => member[1].numbers.map((n) => [n, member] as const)),
  );
}

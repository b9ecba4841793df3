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
  /** Writes the value unless it is the default. */
  write(writer: Writer, value: T): void;
  /** Writes the value even if it is the default: inside a oneof, presence is the message. */
  put(writer: Writer, value: T): void;
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
  const members = Object.entries(shape);
  const byNumber = new Map<number, readonly [string, Field<unknown>]>();
  for (const member of members) for (const n of member[1].numbers) byNumber.set(n, member);

  const blank = (): Record<string, unknown> => {
    const value: Record<string, unknown> = {};
    for (const [name, field] of members) value[name] = field.absent();
    return value;
  };
  return {
    // The casts below hold because `blank` has filled every member of the shape.
    create: (init = {}) => ({ ...blank(), ...init }) as Members<S>,
    encode(value) {
      const writer = new Writer();
      const given: Record<string, unknown> = value;
      for (const [name, field] of members) field.write(writer, given[name]);
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
  isZero(value: T): boolean;
  read(reader: Reader): T;
  write(writer: Writer, value: T): void;
}

const integer: Scalar<number> = {
  wire: VARINT,
  zero: 0,
  isZero: (value) => value === 0,
  read: (reader) => reader.varint(),
  write: (writer, value) => writer.varint(value),
};
const text: Scalar<string> = {
  wire: BYTES,
  zero: "",
  isZero: (value) => value === "",
  read: (reader) => reader.string(),
  write: (writer, value) => writer.string(value),
};
const raw: Scalar<Uint8Array> = {
  wire: BYTES,
  zero: new Uint8Array(0),
  isZero: (value) => value.length === 0,
  read: (reader) => reader.bytes(),
  write: (writer, value) => writer.bytes(value),
};
const truth: Scalar<boolean> = {
  wire: VARINT,
  zero: false,
  isZero: (value) => !value,
  read: (reader) => reader.varint() !== 0,
  write: (writer, value) => writer.varint(value ? 1 : 0),
};
const float: Scalar<number> = {
  wire: FIXED64,
  zero: 0,
  // Minus zero is a value of its own.
  isZero: (value) => Object.is(value, 0),
  read: (reader) => reader.double(),
  write: (writer, value) => writer.double(value),
};

function expectWire(wire: number, expected: number, number: number): void {
  if (wire !== expected) throw new WireError(`field ${number} has wire type ${wire}`);
}

function single<T>(number: number, scalar: Scalar<T>): Field<T> {
  const put = (writer: Writer, value: T): void => {
    writer.tag(number, scalar.wire);
    scalar.write(writer, value);
  };
  return {
    numbers: [number],
    absent: () => scalar.zero,
    read(reader, _number, wire) {
      expectWire(wire, scalar.wire, number);
      return scalar.read(reader);
    },
    write(writer, value) {
      if (!scalar.isZero(value)) put(writer, value);
    },
    put,
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
    ...integer,
    zero: words[0],
    isZero: (value) => value === words[0],
    read: (reader) => words[reader.varint()] ?? words[0],
    write: (writer, value) => writer.varint(words.indexOf(value)),
  });
}

/** A message inside a message. */
export function nested<T>(number: number, type: Message<T>): Field<T | undefined> {
  const put = (writer: Writer, value: T | undefined): void => {
    if (value === undefined) return;
    writer.tag(number, BYTES);
    writer.bytes(type.encode(value));
  };
  return {
    numbers: [number],
    absent: () => undefined,
    read(reader, _number, wire) {
      expectWire(wire, BYTES, number);
      return type.decode(reader.bytes());
    },
    write: put,
    put,
  };
}

/** A field whose absence differs from its default. */
export function optional<T>(field: Field<T>): Field<T | undefined> {
  const put = (writer: Writer, value: T | undefined): void => {
    if (value !== undefined) field.put(writer, value);
  };
  return {
    numbers: field.numbers,
    absent: () => undefined,
    read: (reader, number, wire) => field.read(reader, number, wire, field.absent()),
    write: put,
    put,
  };
}

/** Any number of values. */
export function repeated<T>(field: Field<T>): Field<readonly Exclude<T, undefined>[]> {
  const put = (writer: Writer, values: readonly Exclude<T, undefined>[]): void => {
    for (const value of values) field.put(writer, value);
  };
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
    write: put,
    put,
  };
}

/** Integers, packed on writing and taken packed or not. */
export function packed(number: number): Field<readonly number[]> {
  const put = (writer: Writer, values: readonly number[]): void => {
    const body = new Writer();
    for (const value of values) body.varint(value);
    writer.tag(number, BYTES);
    writer.bytes(body.finish());
  };
  return {
    numbers: [number],
    absent: () => [],
    read(reader, _number, wire, before) {
      // As in `repeated`: the array is the decoder's own.
      const values = before as number[];
      if (wire === VARINT) {
        values.push(reader.varint());
        return values;
      }
      expectWire(wire, BYTES, number);
      const body = new Reader(reader.bytes());
      while (!body.done) values.push(body.varint());
      return values;
    },
    write(writer, values) {
      if (values.length > 0) put(writer, values);
    },
    put,
  };
}

/** One of several fields. */
export function oneof<S extends Shape>(shape: S): Field<OneOf<S>> {
  const byNumber = new Map<number, readonly [string, Field<unknown>]>();
  for (const member of Object.entries(shape)) {
    for (const n of member[1].numbers) byNumber.set(n, member);
  }
  const put = (writer: Writer, chosen: OneOf<S>): void => {
    if (chosen !== undefined) shape[chosen.case]?.put(writer, chosen.value);
  };
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
    write: put,
    put,
  };
}

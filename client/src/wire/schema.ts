// Messages as tables of fields, from which both the TypeScript type and the codec follow.
// Follows proto3: a default value is not written, an unknown field is passed over, the last of several wins.

import { BYTES, FIXED64, Reader, VARINT, Writer } from "./protobuf.js";

/** How one value is laid on the wire. */
interface Kind<T> {
  readonly wire: number;
  readonly zero: T;
  read(reader: Reader): T;
  write(writer: Writer, value: T): void;
}

/** One member of a message: a field, or a oneof that spans several. */
export interface Field<T> {
  /** Its number; 0 for a oneof. */
  readonly number: number;
  // biome-ignore lint/suspicious/noExplicitAny: tables hold fields of all types; the functions below make them.
  readonly kind: Kind<any>;
  /** Any number of values. */
  readonly many?: boolean;
  /** Its absence differs from its default. */
  readonly maybe?: boolean;
  /** The members of a oneof. */
  readonly of?: Shape;
  /** Only for the compiler. */
  readonly type?: T;
}

type Shape = Readonly<Record<string, Field<unknown>>>;
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
export interface Message<T> extends Kind<T | undefined> {
  /** The message with defaults for everything that is not given. */
  create(init?: Partial<T>): T;
  encode(value: T): Uint8Array;
  /** Throws `WireError`. */
  decode(bytes: Uint8Array): T;
}

/** The TypeScript type of a message's values. */
export type Infer<M> = M extends Message<infer T> ? T : never;

type Values = Record<string, unknown>;

/** A message of these members. */
export function message<S extends Shape>(shape: S): Message<Members<S>> {
  const rows = Object.entries(shape);
  const lists = rows.filter(([, { many }]) => many).map(([name]) => name);
  const blank: Values = {};
  /** By number: the field, its name, and the oneof that it is of. */
  const fields: [field: Field<unknown>, name: string, oneof?: string][] = [];
  for (const [name, field] of rows) {
    blank[name] = field.maybe ? undefined : field.kind.zero;
    if (field.of)
      for (const [one, its] of Object.entries(field.of)) fields[its.number] = [its, one, name];
    else fields[field.number] = [field, name];
  }
  const make = (): Values => {
    const value = { ...blank };
    for (const name of lists) value[name] = [];
    return value;
  };
  const put = (writer: Writer, { number, kind }: Field<unknown>, value: unknown): void => {
    writer.varint(number * 8 + kind.wire);
    kind.write(writer, value);
  };
  // The casts below hold because `make` has filled every member of the shape.
  const read = (reader: Reader): Members<S> => {
    const value = make();
    while (!reader.done) {
      const tag = reader.varint();
      const wire = tag % 8;
      const number = (tag - wire) / 8;
      const known = fields[number];
      // One that came as another wire type is another field, as protobuf's own parsers take it.
      if (!known || known[0].kind.wire !== wire) {
        reader.skip(wire);
        continue;
      }
      const [{ kind, many }, name, oneof] = known;
      const one = kind.read(reader);
      if (oneof) value[oneof] = { case: name, value: one };
      else if (many) (value[name] as unknown[]).push(one);
      else value[name] = one;
    }
    return value as Members<S>;
  };
  const write = (writer: Writer, value: Values): void => {
    for (const [name, field] of rows) {
      const one = value[name];
      if (field.of) {
        const chosen = one as { readonly case: string; readonly value: unknown } | undefined;
        const its = chosen && field.of[chosen.case];
        if (its) put(writer, its, chosen.value);
      } else if (field.many) for (const each of one as unknown[]) put(writer, field, each);
      else if (one !== undefined && (field.maybe || !isZero(one, field.kind.zero))) {
        put(writer, field, one);
      }
    }
  };
  return {
    wire: BYTES,
    zero: undefined,
    read: (reader) => reader.inside(read),
    write: (writer, value) => writer.bytes(encode(value as Members<S>)),
    create: (init) => ({ ...make(), ...init }) as Members<S>,
    encode,
    decode: (bytes) => read(new Reader(bytes)),
  };
  function encode(value: Members<S>): Uint8Array {
    const writer = new Writer();
    write(writer, value);
    return writer.finish();
  }
}

/** Minus zero is a value of its own, and two empty arrays are not the same one. */
const isZero = (value: unknown, zero: unknown): boolean =>
  Object.is(value, zero) || (value as Uint8Array).length === 0;

const field =
  <T>(kind: Kind<T>) =>
  (number: number): Field<T> => ({ number, kind });

/** An integer. */
export const uint64 = field<number>({
  wire: VARINT,
  zero: 0,
  read: (reader) => reader.varint(),
  write: (writer, value) => writer.varint(value),
});
/** An integer that the gateway holds in 32 bits. */
export const uint32 = uint64;
/** A string. */
export const string = field<string>({
  wire: BYTES,
  zero: "",
  read: (reader) => reader.string(),
  write: (writer, value) => writer.string(value),
});
/** Bytes. A copy: the carrier's buffer is used again, and a view would keep it all. */
export const bytes = field<Uint8Array>({
  wire: BYTES,
  zero: new Uint8Array(0),
  read: (reader) => reader.bytes().slice(),
  write: (writer, value) => writer.bytes(value),
});
/** Yes or no. */
export const bool = field<boolean>({
  wire: VARINT,
  zero: false,
  read: (reader) => reader.varint() !== 0,
  write: (writer, value) => writer.varint(+value),
});
/** A floating point number. */
export const double = field<number>({
  wire: FIXED64,
  zero: 0,
  read: (reader) => reader.double(),
  write: (writer, value) => writer.double(value),
});

/** An enum by its words, counted from 0. A number that this version does not know reads as the first word. */
export const enumeration = <const W extends readonly [string, ...string[]]>(
  number: number,
  words: W,
): Field<W[number]> =>
  field<W[number]>({
    wire: VARINT,
    zero: words[0],
    read: (reader) => words[reader.varint()] ?? words[0],
    write: (writer, value) => writer.varint(words.indexOf(value)),
  })(number);

/** A message inside a message. */
export const nested = <T>(number: number, kind: Message<T>): Field<T | undefined> => ({
  number,
  kind,
});

/** A field whose absence differs from its default. */
export const optional = <T>(one: Field<T>): Field<T | undefined> => ({ ...one, maybe: true });

/** Any number of values. */
export const repeated = <T>({
  number,
  kind,
}: Field<T>): Field<readonly Exclude<T, undefined>[]> => ({
  number,
  kind,
  many: true,
});

/** One of several fields. */
export const oneof = <S extends Shape>(of: S): Field<OneOf<S>> => ({
  number: 0,
  kind: bool(0).kind,
  maybe: true,
  of,
});

// WebTransport: one bidirectional control stream that the client opens, and any number of unidirectional streams
// that the gateway opens, each a run of length-delimited frames.

import { systemClock } from "../session/clock.js";
import { Deframer, delimit } from "../wire/framing.js";
import { CUT_SHORT, WireError } from "../wire/protobuf.js";
import { inOrder, type Scattering, type ScatteringSink } from "./datagrams/order.js";
import { begin } from "./throttle.js";
import { type ConnectInfo, type Connection, type Plan, type Sink, withToken } from "./transport.js";

export { isWeary } from "./throttle.js";

/** Dials it. */
export function dial({ webtransport }: ConnectInfo, sink: Sink, { token }: Plan): Connection {
  const succeed = begin();
  const opened = (): void => {
    succeed();
    sink.opened();
  };
  const url = withToken(webtransport?.url ?? "", token);
  const hashes = webtransport?.certificate_hashes ?? [];
  return inOrder({ ...sink, opened }, systemClock, (scattered) => open(url, hashes, scattered));
}

/** Newer drafts of WebTransport make the writable; older ones have one. */
interface Datagrams {
  readonly readable?: ReadableStream<Uint8Array>;
  readonly writable?: WritableStream<Uint8Array>;
  createWritable?(): WritableStream<Uint8Array>;
}

function open(url: string, hashes: readonly string[], sink: ScatteringSink): Scattering {
  let over = false;
  let control: WritableStreamDefaultWriter<Uint8Array> | undefined;
  let datagram: Scattering["datagram"];
  const session = new WebTransport(
    url,
    // An empty list would mean that no certificate is acceptable.
    hashes.length === 0
      ? {}
      : {
          serverCertificateHashes: hashes.map((hash) => ({
            algorithm: "sha-256",
            value: fromHex(hash),
          })),
        },
  );
  const close = (): void => {
    over = true;
    try {
      session.close();
    } catch {
      // Not open yet, in some browsers an error; it will find that it is over.
    }
  };
  const fail = (error: unknown): void => {
    sink.closed(error);
    close();
  };

  async function begin(): Promise<void> {
    await session.ready;
    const stream = await session.createBidirectionalStream();
    // Closed while it was still being opened: some browsers ignore a close before `ready`.
    if (over) return close();
    control = stream.writable.getWriter();
    pump(stream.readable, sink.message).then(fail, fail);
    // A stream that breaks takes an unknown number of frames with it: only a new session makes up for it.
    const accept = (incoming: ReadableStream<Uint8Array>): void => {
      pump(incoming, sink.frame).catch(fail);
    };
    read(session.incomingUnidirectionalStreams, accept).catch(fail);
    const datagrams: Datagrams = session.datagrams ?? {};
    const { readable, writable = datagrams.createWritable?.() } = datagrams;
    if (readable && writable) {
      const writer = writable.getWriter();
      // One that is lost is made up for by the next one; a session that is gone says so elsewhere.
      datagram = (bytes) => void writer.write(bytes).catch(() => undefined);
      read(readable, sink.datagram).catch(fail);
    }
    sink.opened();
  }

  session.closed.then(fail, fail);
  begin().catch(fail);
  return {
    kind: "webtransport",
    get datagram() {
      return datagram;
    },
    send: (message) => void control?.write(delimit(message)).catch(fail),
    close,
  };
}

/** The messages of a stream, to its end. */
async function pump(
  stream: ReadableStream<Uint8Array>,
  take: (message: Uint8Array) => void,
): Promise<void> {
  const deframer = new Deframer();
  const push = (chunk: Uint8Array): void => deframer.push(chunk).forEach(take);
  await (readInto(stream, push) ?? read(stream, push));
  if (deframer.partial) throw new WireError(CUT_SHORT);
}

/** Everything that a stream brings, to its end. */
async function read<T>(stream: ReadableStream<T>, take: (value: T) => void): Promise<void> {
  const reader = stream.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    take(value);
  }
}

/** What one read takes at most: a frame at full speed is far less. */
const READ_BYTES = 16 * 1024;

/** Reads into one buffer again and again; undefined where the stream cannot. */
function readInto(
  stream: ReadableStream<Uint8Array>,
  take: (value: Uint8Array) => void,
): Promise<void> | undefined {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = stream.getReader({ mode: "byob" });
  } catch {
    return undefined;
  }
  const all = async (): Promise<void> => {
    let buffer = new ArrayBuffer(READ_BYTES);
    for (;;) {
      const { value, done }: ReadableStreamReadResult<Uint8Array<ArrayBuffer>> = await reader.read(
        new Uint8Array(buffer),
      );
      if (done || !value) return;
      take(value);
      buffer = value.buffer as ArrayBuffer;
    }
  };
  return all();
}

const fromHex = (hex: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

// WebTransport: one bidirectional control stream that the client opens, and any number of unidirectional streams
// that the gateway opens, each a run of length-delimited frames.

import { Deframer, delimit } from "../wire/framing.js";
import { CUT_SHORT, WireError } from "../wire/protobuf.js";
import {
  type ConnectInfo,
  type Connection,
  type Sink,
  type Transport,
  withToken,
} from "./transport.js";

/** The WebTransport transport. */
export const webtransport: Transport = {
  kind: "webtransport",
  lack: (info) =>
    typeof WebTransport === "undefined"
      ? "this runtime has no WebTransport"
      : info?.webtransport === null
        ? "the gateway offers no WebTransport"
        : tooMany()
          ? "too many sessions came to nothing"
          : undefined,
  dial: (info, sink, { token }) => new WebTransportConnection(info, sink, token),
};

/**
 * Chromium refuses a page's sessions once 64 of them are pending, and counts those that failed for minutes. So many, in
 * so many milliseconds, may come to nothing; then the other carriers have the page to themselves for a while.
 */
const FRUITLESS_MAX = 48;
const FRUITLESS_MS = 300_000;
/** When each session of this page began that is not open or never was. */
let fruitless: number[] = [];

function tooMany(): boolean {
  const since = performance.now() - FRUITLESS_MS;
  fruitless = fruitless.filter((at) => at > since);
  return fruitless.length >= FRUITLESS_MAX;
}

/** Newer drafts of WebTransport make the writable; older ones have one. */
interface Datagrams {
  readonly readable?: ReadableStream<Uint8Array>;
  readonly writable?: WritableStream<Uint8Array>;
  createWritable?(): WritableStream<Uint8Array>;
}

class WebTransportConnection implements Connection {
  readonly kind = "webtransport";
  datagram: Connection["datagram"];
  readonly #sink: Sink;
  readonly #begun = performance.now();
  #over = false;
  readonly #session: WebTransport;
  #control: WritableStreamDefaultWriter<Uint8Array> | undefined;

  constructor(info: ConnectInfo, sink: Sink, token: string | undefined) {
    this.#sink = sink;
    const hashes = info.webtransport?.certificate_hashes ?? [];
    fruitless.push(this.#begun);
    this.#session = new WebTransport(
      withToken(info.webtransport?.url ?? "", token),
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
    this.#session.closed.then(this.#fail, this.#fail);
    this.#open().catch(this.#fail);
  }

  send(message: Uint8Array): void {
    this.#control?.write(delimit(message)).catch(this.#fail);
  }

  close(): void {
    this.#over = true;
    try {
      this.#session.close();
    } catch {
      // Not open yet, in some browsers an error; it will find that it is over.
    }
  }

  readonly #fail = (error: unknown): void => {
    this.#sink.closed(error);
    this.close();
  };

  async #open(): Promise<void> {
    await this.#session.ready;
    fruitless = fruitless.filter((at) => at !== this.#begun);
    const control = await this.#session.createBidirectionalStream();
    if (this.#over) {
      // Closed while it was still being opened: some browsers ignore a close before `ready`.
      this.close();
      return;
    }
    this.#control = control.writable.getWriter();
    this.#pump(control.readable, this.#sink.message).then(this.#fail).catch(this.#fail);
    this.#accept().catch(this.#fail);
    this.#exchangeDatagrams();
    this.#sink.opened();
  }

  #exchangeDatagrams(): void {
    const datagrams: Datagrams | undefined = this.#session.datagrams;
    const { readable, writable = datagrams?.createWritable?.() } = datagrams ?? {};
    if (!readable || !writable) return;
    const writer = writable.getWriter();
    // One that is lost is made up for by the next one; a session that is gone says so elsewhere.
    this.datagram = (bytes) => void writer.write(bytes).catch(() => undefined);
    this.#read(readable, this.#sink.datagram).catch(this.#fail);
  }

  #accept(): Promise<void> {
    const incoming: ReadableStream<ReadableStream<Uint8Array>> =
      this.#session.incomingUnidirectionalStreams;
    return this.#read(incoming, (stream) => {
      // A stream that breaks takes an unknown number of frames with it: only a new session makes up for it.
      this.#pump(stream, this.#sink.frame).catch((error: unknown) => this.#fail(error));
    });
  }

  async #pump(stream: ReadableStream<Uint8Array>, take: (b: Uint8Array) => void): Promise<void> {
    const deframer = new Deframer();
    const push = (chunk: Uint8Array): void => {
      for (const message of deframer.push(chunk)) take(message);
    };
    await (byob(stream, push) ?? this.#read(stream, push));
    if (deframer.partial) throw new WireError(CUT_SHORT);
  }

  /** Everything that a stream brings, to its end. */
  async #read<T>(stream: ReadableStream<T>, take: (value: T) => void): Promise<void> {
    const reader = stream.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      take(value);
    }
  }
}

/** What one read takes at most: a frame at full speed is far less. */
const READ_BYTES = 16 * 1024;

/** Reads into one buffer again and again; undefined where the stream cannot. */
function byob(
  stream: ReadableStream<Uint8Array>,
  take: (value: Uint8Array) => void,
): Promise<void> | undefined {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = stream.getReader({ mode: "byob" });
  } catch {
    return undefined;
  }
  const read = async (): Promise<void> => {
    let buffer = new ArrayBuffer(READ_BYTES);
    for (;;) {
      const { value, done } = await reader.read(new Uint8Array(buffer));
      if (done || !value) return;
      take(value);
      buffer = value.buffer as ArrayBuffer;
    }
  };
  return read();
}

const fromHex = (hex: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

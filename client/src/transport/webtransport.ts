// WebTransport: one bidirectional control stream that the client opens, and any number of unidirectional streams
// that the gateway opens, each a run of length-delimited frames.

import { Deframer, delimit } from "../wire/framing.js";
import { WireError } from "../wire/protobuf.js";
import {
  type ConnectInfo,
  type Connection,
  type Sink,
  type Transport,
  Valve,
} from "./transport.js";

/** The WebTransport transport. */
export const webtransport: Transport = {
  kind: "webtransport",
  lack: (info) => {
    if (typeof WebTransport === "undefined") {
      const remedy = "open the page over https in a browser that has WebTransport";
      return { reason: "this runtime has no WebTransport", remedy };
    }
    if (info?.webtransport !== null) return undefined;
    const remedy = "let the gateway listen for WebTransport";
    return { reason: "the gateway offers no WebTransport", remedy };
  },
  dial: (info, sink) => new WebTransportConnection(info, sink),
};

class WebTransportConnection implements Connection {
  readonly kind = "webtransport";
  readonly #valve: Valve;
  readonly #session: WebTransport;
  #control: WritableStreamDefaultWriter<Uint8Array> | undefined;

  constructor(info: ConnectInfo, sink: Sink) {
    this.#valve = new Valve(sink);
    const hashes = info.webtransport?.certificate_hashes ?? [];
    this.#session = new WebTransport(
      info.webtransport?.url ?? "",
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
    this.#session.closed.then(
      () => this.#valve.closed("closed by the gateway"),
      (error: unknown) => this.#valve.closed(error),
    );
    this.#open().catch((error: unknown) => this.#fail(error));
  }

  send(message: Uint8Array): void {
    this.#control?.write(delimit(message)).catch((error: unknown) => this.#fail(error));
  }

  close(): void {
    this.#valve.close();
    try {
      this.#session.close();
    } catch {
      // Not open yet, in some browsers an error; it will find its valve shut.
    }
  }

  #fail(error: unknown): void {
    if (this.#valve.cut) return;
    this.#valve.closed(error);
    this.close();
  }

  async #open(): Promise<void> {
    await this.#session.ready;
    const control = await this.#session.createBidirectionalStream();
    if (this.#valve.cut) {
      // Closed while it was still being opened: some browsers ignore a close before `ready`.
      this.close();
      return;
    }
    this.#control = control.writable.getWriter();
    this.#pump(control.readable, (bytes) => this.#valve.message(bytes))
      .then(() => this.#fail("the gateway ended the control stream"))
      .catch((error: unknown) => this.#fail(error));
    this.#accept().catch((error: unknown) => this.#fail(error));
    this.#valve.opened();
  }

  async #accept(): Promise<void> {
    const incoming: ReadableStreamDefaultReader<ReadableStream<Uint8Array>> =
      this.#session.incomingUnidirectionalStreams.getReader();
    for (;;) {
      const { value, done } = await incoming.read();
      if (done) return;
      // A stream that breaks takes an unknown number of frames with it: only a new session makes up for it.
      this.#pump(value, (bytes) => this.#valve.frame(bytes)).catch((error: unknown) =>
        this.#fail(error),
      );
    }
  }

  async #pump(stream: ReadableStream<Uint8Array>, take: (b: Uint8Array) => void): Promise<void> {
    const reader = stream.getReader();
    const deframer = new Deframer();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      for (const message of deframer.push(value)) take(message);
    }
    if (deframer.partial) throw new WireError("a stream ends inside a message");
  }
}

function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  if (!/^([0-9a-f]{2})+$/.test(hex)) throw new WireError("a certificate hash is not hexadecimal");
  return Uint8Array.from({ length: hex.length / 2 }, (_, at) =>
    Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16),
  );
}

// Puts in order what comes by datagram, and acknowledges it: to the session the connection is one without datagrams.
// Loaded with the carriers that have them.

import type { Clock } from "../../session/clock.js";
import { Acks } from "../../wire/acks.js";
import { peek } from "../../wire/alias.js";
import { Frame } from "../../wire/frame.js";
import { Deframer } from "../../wire/framing.js";
import { ClientMessage, ServerMessage, type Subscribe } from "../../wire/session.js";
import type { Connection, Sink } from "../transport.js";
import { Lane } from "./lane.js";

/** A connection that can send datagrams, or lose them; without `datagram` it has none. */
export interface Scattering extends Connection {
  readonly datagram?: ((bytes: Uint8Array) => void) | undefined;
}

/** What such a connection tells. */
export interface ScatteringSink extends Sink {
  /** A datagram: a run of delimited frames. Some come late, twice, or never. */
  readonly datagram: (run: Uint8Array) => void;
}

/** So many acknowledgements fit into any datagram. */
const ACKS_MAX = 64;
/** How often something is acknowledged at most: once in each frame of a screen. */
const ACK_MS = 16;

/** Dials, and puts what comes in order. */
export function inOrder(
  sink: Sink,
  clock: Clock,
  dial: (sink: ScatteringSink) => Scattering,
): Connection {
  const lanes = new Map<number, Lane>();
  /** Something came for these since the last acknowledgement. */
  const owed = new Set<Lane>();
  let ackedAt = Number.NEGATIVE_INFINITY;
  let callOff: (() => void) | undefined;

  const acknowledge = (some: Iterable<Lane>): void => {
    callOff?.();
    callOff = undefined;
    ackedAt = clock.now();
    const acks: { readonly alias: number; readonly seq: number }[] = [];
    for (const { alias, contiguous: seq } of some) if (seq !== undefined) acks.push({ alias, seq });
    owed.clear();
    while (acks.length > 0) {
      connection.datagram?.(Acks.encode({ acks: acks.splice(0, ACKS_MAX) }));
    }
  };

  const take = (bytes: Uint8Array, byDatagram: boolean): void => {
    const lane = lanes.get(peek(bytes).alias);
    if (!lane) {
      sink.frame(bytes);
      return;
    }
    const frame = Frame.decode(bytes);
    lane.take(frame, bytes, byDatagram);
    if (frame.news?.case === "end") {
      // Nothing comes after it that could be acknowledged.
      lanes.delete(frame.alias);
      owed.delete(lane);
    } else if (lane.contiguous !== undefined) owe(lane);
  };

  const owe = (lane: Lane): void => {
    owed.add(lane);
    const wait = ackedAt + ACK_MS - clock.now();
    // Timers of hidden pages are slow; what arrives is not.
    if (wait <= 0) acknowledge(owed);
    else callOff ??= clock.after(wait, () => acknowledge(owed));
  };

  const adopt = (wanted: Subscribe): Subscribe => {
    if (wanted.delivery !== "datagram") return wanted;
    // Nothing could be acknowledged.
    if (!connection.datagram) return { ...wanted, delivery: "stream" };
    lanes.set(wanted.alias, new Lane(wanted, sink.frame));
    return wanted;
  };

  const connection = dial({
    ...sink,
    frame: (bytes) => take(bytes, false),
    datagram: (run) => {
      for (const bytes of new Deframer().push(run)) take(bytes, true);
    },
    message(bytes) {
      sink.message(bytes);
      const { body } = lanes.size > 0 ? ServerMessage.decode(bytes) : {};
      const news = body?.case === "control" ? body.value.body : undefined;
      if (news?.case !== "subscribed" && news?.case !== "refused") return;
      const lane = lanes.get(news.value.alias);
      // Everything of those comes on the stream, in order.
      const done = news.case === "refused" || !lane?.subscribed(news.value);
      if (done) lanes.delete(news.value.alias);
    },
  });

  return {
    get kind() {
      return connection.kind;
    },
    send(message) {
      const said = ClientMessage.decode(message);
      const { body } = said;
      if (body?.case === "hello") {
        const value = { ...body.value, subscriptions: body.value.subscriptions.map(adopt) };
        connection.send(ClientMessage.encode({ ...said, body: { case: "hello", value } }));
      } else if (body?.case === "subscribe") {
        const value = adopt(body.value);
        connection.send(ClientMessage.encode({ ...said, body: { case: "subscribe", value } }));
      } else {
        if (body?.case === "unsubscribe") lanes.delete(body.value.alias);
        connection.send(message);
        if (body?.case === "ping" && lanes.size > 0) acknowledge(lanes.values());
      }
    },
    close() {
      callOff?.();
      lanes.clear();
      connection.close();
    },
  };
}

// Requests that wait for their answers, across drops: what may be repeated is repeated, the rest fails and says so.

import { errorOf, type TokenwayError } from "../errors.js";
import type { ClientMessage, Control, Published } from "../wire/session.js";

/** What is asked. */
export type Body = Exclude<ClientMessage["body"], undefined>;

interface Waiting {
  readonly message: ClientMessage;
  /** Carrying it out twice is the same as once. */
  readonly idempotent: boolean;
  sent: boolean;
  resolve(answer: Published | undefined): void;
  reject(error: TokenwayError): void;
}

/** The requests of one client. Each is bounded by the promise its caller holds. */
export class Requests {
  readonly #waiting = new Map<number, Waiting>();
  #send: ((message: ClientMessage) => void) | undefined;

  /** Sends now or when next connected. */
  ask(request: number, body: Body, idempotent: boolean): Promise<Published | undefined> {
    return new Promise((resolve, reject) => {
      const message: ClientMessage = { request, body };
      const one: Waiting = { message, idempotent, sent: false, resolve, reject };
      this.#waiting.set(request, one);
      this.#transmit(one);
    });
  }

  /** A link is up. */
  connected(send: (message: ClientMessage) => void): void {
    this.#send = send;
    for (const one of this.#waiting.values()) this.#transmit(one);
  }

  /** The link is down. */
  disconnected(): void {
    this.#send = undefined;
    for (const [request, one] of this.#waiting) {
      if (!one.sent || one.idempotent) continue;
      this.#waiting.delete(request);
      one.reject(errorOf("connection_lost", "lost before the answer: it may have had an effect"));
    }
  }

  /** Everything that waits fails. */
  fail(error: TokenwayError): void {
    this.#send = undefined;
    for (const one of this.#waiting.values()) one.reject(error);
    this.#waiting.clear();
  }

  answer({ request, body }: Control): void {
    const one = this.#waiting.get(request);
    if (one === undefined || body === undefined) return;
    this.#waiting.delete(request);
    if (body.case === "refused") {
      const { code, message } = body.value;
      one.reject(errorOf(code, message));
    } else {
      one.resolve(body.case === "published" ? body.value : undefined);
    }
  }

  #transmit(one: Waiting): void {
    if (this.#send === undefined) return;
    one.sent = true;
    this.#send(one.message);
  }
}

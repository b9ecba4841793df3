// Requests that wait for their answers, across drops: what may be repeated is repeated, the rest fails and says so.

import { ConnectionError, refusalOf, type TokenwayError } from "../errors.js";
import type { ClientMessage, Control, Published } from "../wire/session.js";

/** What is asked. */
export type Body = Exclude<ClientMessage["body"], undefined>;

type Send = (body: Body, request: number) => void;

interface Waiting {
  readonly body: Body;
  /** Carrying it out twice is the same as once. */
  readonly idempotent: boolean;
  sent: boolean;
  resolve(answer: Published | undefined): void;
  reject(error: TokenwayError): void;
}

/** The requests of one client. Each is bounded by the promise its caller holds. */
export class Requests {
  readonly #waiting = new Map<number, Waiting>();
  #send: Send | undefined;
  #error: TokenwayError | undefined;

  /** Sends now or when next connected. */
  ask(request: number, body: Body, idempotent: boolean): Promise<Published | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#error) return reject(this.#error);
      this.#waiting.set(request, { body, idempotent, sent: false, resolve, reject });
      if (this.#send) this.connected(this.#send);
    });
  }

  /** A link is up. */
  connected(send: Send): void {
    this.#send = send;
    for (const [request, one] of this.#waiting) {
      if (!one.sent) send(one.body, request);
      one.sent = true;
    }
  }

  /** The link is down. */
  disconnected(): void {
    this.#send = undefined;
    for (const [request, one] of this.#waiting) {
      if (one.sent && !one.idempotent) {
        this.#waiting.delete(request);
        one.reject(new ConnectionError("connection_lost", "lost unanswered"));
      }
      one.sent = false;
    }
  }

  /** Everything that waits fails, and all that is asked from now on. */
  fail(error: TokenwayError): void {
    this.#error = error;
    for (const one of this.#waiting.values()) one.reject(error);
    this.#waiting.clear();
  }

  answer({ request, body }: Control): void {
    const one = this.#waiting.get(request);
    if (!one) return;
    this.#waiting.delete(request);
    if (body?.case === "refused") one.reject(refusalOf(body.value.code, body.value.message));
    else one.resolve(body?.case === "published" ? body.value : undefined);
  }
}

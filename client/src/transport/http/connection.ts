// A session where there is none: takes the client's messages, asks over HTTP, and answers as a gateway would.
// Loaded only where neither WebTransport nor WebSocket gets through.

import type { Frame } from "../../wire/frame.js";
import { Frame as Frames } from "../../wire/frame.js";
import {
  ClientMessage,
  type Control,
  Published,
  Refused,
  ServerMessage,
  Welcome,
} from "../../wire/session.js";
import type { ConnectInfo, Connection, Plan, Sink } from "../transport.js";
import { Api, Refusal } from "./api.js";
import { Lanes, OWN_HTTP1, OWN_MANY } from "./lanes.js";
import { type Outcome, Subscription } from "./subscription.js";

/** A ping is a request of its own here. */
const HEARTBEAT_MS = 2_000;
/** What proxies let pass, and the gateway's own bound is 55 s. */
const WAIT_S = 20;

type Said = NonNullable<ClientMessage["body"]>;

/** Dials it. */
export function dial(
  { sse }: ConnectInfo,
  sink: Sink,
  { token }: Plan,
  kind: Connection["kind"],
): Connection {
  return new HttpConnection(kind === "sse" ? kind : "longpoll", sse ?? "", sink, token);
}

/** One connection that is none. */
class HttpConnection implements Connection {
  readonly kind: "sse" | "longpoll";
  readonly #sink: Sink;
  readonly #api: Api;
  readonly #lanes: Lanes;
  readonly #abort = new AbortController();
  readonly #subscriptions = new Map<number, Subscription>();
  /** Hello was not answered yet. */
  #welcome: (() => void) | undefined;

  constructor(kind: "sse" | "longpoll", base: string, sink: Sink, token: string | undefined) {
    this.kind = kind;
    this.#sink = sink;
    this.#api = new Api(base);
    if (token) this.#api.addTokens([token]);
    const streams = kind === "sse";
    const own = (one: Subscription): Promise<Outcome> =>
      streams ? one.stream() : one.poll(WAIT_S);
    this.#lanes = new Lanes(own, this.#fail);
    this.#open().catch(this.#fail);
  }

  send(message: Uint8Array): void {
    const { request, body } = ClientMessage.decode(message);
    if (body) this.#take(request, body).catch(this.#fail);
  }

  close(): void {
    this.#abort.abort();
    this.#lanes.close();
  }

  readonly #fail = (error: unknown): void => {
    if (this.#abort.signal.aborted) return;
    this.close();
    this.#sink.closed(error);
  };

  async #open(): Promise<void> {
    const protocol = await this.#api.probe(this.#abort.signal);
    const many = !inBrowser() || protocol === "h2" || protocol === "h3";
    this.#lanes.widen(many ? OWN_MANY : OWN_HTTP1);
    this.#sink.opened();
  }

  async #take(request: number, said: Said): Promise<void> {
    const { signal } = this.#abort;
    switch (said.case) {
      case "hello": {
        const { tokens, subscriptions } = said.value;
        this.#api.addTokens(tokens);
        // With something to read, only reading proves that this carrier carries.
        const maxStreams = this.#lanes.width;
        this.#welcome = () => {
          const value = Welcome.create({ maxStreams, heartbeatMs: HEARTBEAT_MS });
          this.#answer(request, { case: "welcome", value });
        };
        if (subscriptions.length === 0) this.#greet();
        for (const one of subscriptions) this.#subscribe(0, one);
        return;
      }
      case "subscribe":
        this.#subscribe(request, said.value);
        return;
      case "unsubscribe":
        this.#subscriptions.get(said.value.alias)?.leave();
        this.#subscriptions.delete(said.value.alias);
        return;
      case "addTokens":
        this.#api.addTokens(said.value.tokens);
        this.#answer(request, { case: "done", value: {} });
        return;
      case "ping":
        await this.#api.probe(signal);
        this.#answer(request, { case: "pong", value: said.value });
        return;
      case "cancel": {
        const { channel, generation } = said.value;
        const body = JSON.stringify(generation ? { generation } : {});
        await this.#post(request, channel, "cancel", body, () => ({ case: "done", value: {} }));
        return;
      }
      case "publish": {
        const { channel, custom } = said.value;
        const data = new TextDecoder().decode(custom?.data);
        const body = `{"type":${JSON.stringify(custom?.type)},"data":${data}}`;
        await this.#post(request, channel, "events", body, ({ epoch, seq }) => {
          return { case: "published", value: Published.create({ channel, epoch, seq }) };
        });
      }
    }
  }

  #subscribe(request: number, wanted: Extract<Said, { case: "subscribe" }>["value"]): void {
    const outlet = {
      control: (to: number, body: Control["body"]): void => {
        this.#greet();
        this.#answer(to, body);
      },
      frame: (frame: Frame): void => this.#sink.frame(Frames.encode(frame)),
    };
    const one = new Subscription(this.#api, outlet, request, wanted);
    this.#subscriptions.set(wanted.alias, one);
    this.#lanes.add(one);
  }

  async #post(
    request: number,
    channel: string,
    verb: string,
    body: string,
    done: (answer: { readonly epoch: string; readonly seq: number }) => Control["body"],
  ): Promise<void> {
    try {
      const answer = await this.#api.post(channel, verb, body, this.#abort.signal);
      this.#answer(request, done({ epoch: answer.epoch, seq: answer.seq }));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { code, message } = error;
      const value = Refused.create({ code: code || "unavailable", message });
      this.#answer(request, { case: "refused", value });
    }
  }

  #greet(): void {
    this.#welcome?.();
    this.#welcome = undefined;
  }

  #answer(request: number, body: Control["body"]): void {
    const value = { request, body };
    this.#sink.message(ServerMessage.encode({ body: { case: "control", value } }));
  }
}

/** Where connections are few. */
const inBrowser = (): boolean =>
  typeof document !== "undefined" || typeof WorkerGlobalScope !== "undefined";

declare const WorkerGlobalScope: unknown;

// One connection to the gateway, shared by many tabs. Each tab speaks as if it had a connection of its own: aliases and
// requests are numbered anew on the way up and given back their own numbers on the way down. Frames pass undecoded.
// Synchronous, and without a clock of its own: messages in, messages out. Who dials, and when, is hub.ts's.

import type { Connection, Sink, TransportKind } from "../transport/transport.js";
import { peek, renamed } from "../wire/alias.js";
import { BYTES, Reader, WireError } from "../wire/protobuf.js";
import {
  ClientMessage,
  type Control,
  type Hello,
  ServerMessage,
  type Subscribe,
  type Welcome,
} from "../wire/session.js";
import { Link } from "./link.js";

/** What a relay is told by its owner. */
export interface RelayWorld {
  now(): number;
  /** The gateway wants its session to end: nobody is to join any more. */
  leaving(): void;
  over(): void;
}

/** What carries the session. */
type Carrier = Pick<Connection, "send" | "close"> & {
  readonly kind: TransportKind | undefined;
  readonly dialledAt: number;
};

/** The tag of `ServerMessage.frame`. */
const FRAME = 2 * 8 + BYTES;

/** A shared connection. */
export class Relay {
  /** Tells it from the others of its hub. */
  readonly number: number;
  readonly #world: RelayWorld;
  readonly #links = new Set<Link>();
  /** By the session's alias. */
  readonly #subscriptions = new Map<number, { readonly link: Link; readonly alias: number }>();
  /** By the session's request. */
  readonly #asked = new Map<number, { readonly link: Link; readonly request: number }>();
  /** What the session has. */
  readonly #tokens = new Set<string>();
  #carrier: Carrier | undefined;
  #aliases = 0;
  #requests = 0;
  #opened = false;
  #greeted = false;
  #welcome: Welcome | undefined;
  #tookMs: number | undefined;
  /** When the first ping left that nothing has come after. */
  #pingedAt: number | undefined;

  constructor(number: number, world: RelayWorld) {
    this.number = number;
    this.#world = world;
  }

  /** Whether messages can be sent. */
  get opened(): boolean {
    return this.#opened;
  }

  /** Whether the tab has not hung up. */
  has(link: Link | undefined): boolean {
    return link !== undefined && this.#links.has(link);
  }

  get kind(): TransportKind | undefined {
    return this.#carrier?.kind;
  }

  /** How long it took to open, once it has. */
  get tookMs(): number | undefined {
    return this.#tookMs;
  }

  /** For how long pings have gone unanswered, with nothing else heard. */
  silentMs(): number {
    return this.#pingedAt === undefined ? 0 : this.#world.now() - this.#pingedAt;
  }

  /** What to open a carrier with. */
  readonly sink: Sink = {
    opened: () => {
      this.#opened = true;
      this.#tookMs = this.#world.now() - (this.#carrier?.dialledAt ?? 0);
      for (const link of [...this.#links]) link.sink.opened();
    },
    message: (bytes) => this.#guard(() => this.#message(bytes)),
    frame: (bytes, byDatagram) => this.#guard(() => this.#frame(bytes, byDatagram)),
    closed: (cause) => this.close(cause),
  };

  /** This carries it now; what did before is hung up. */
  carry(carrier: Carrier): void {
    this.#carrier?.close();
    this.#carrier = carrier;
  }

  /** One more tab. It is told when the carrier opens; if it has, nothing is told. */
  join(sink: Sink): Link {
    const link = new Link(this, sink);
    this.#links.add(link);
    return link;
  }

  /** Everybody's connection is gone. */
  close(cause?: unknown): void {
    const links = [...this.#links];
    this.#links.clear();
    this.#end();
    for (const link of links) link.sink.closed(cause);
  }

  /** A tab hangs up; with the last one the carrier goes. */
  leave(link: Link): void {
    if (!this.#links.delete(link)) return;
    for (const alias of [...link.aliases.keys()]) this.#unsubscribe(link, alias, 0);
    if (this.#links.size === 0) this.#end();
  }

  /** What a tab says. */
  take(link: Link, bytes: Uint8Array): void {
    if (!this.#links.has(link)) return;
    const { request, body } = ClientMessage.decode(bytes);
    switch (body?.case) {
      case "hello":
        this.#hello(link, request, body.value);
        break;
      case "subscribe":
        this.#ask(link, request, { ...body, value: this.#adopt(link, body.value) });
        break;
      case "unsubscribe":
        this.#unsubscribe(link, body.value.alias, request);
        break;
      default:
        if (body?.case === "ping") this.#pingedAt ??= this.#world.now();
        this.#ask(link, request, body);
    }
  }

  #end(): void {
    this.#carrier?.close();
    this.#carrier = undefined;
    this.#opened = false;
    this.#world.over();
  }

  /** What cannot be understood may have been an event: only a new connection makes up for it. */
  #guard(take: () => void): void {
    try {
      this.#pingedAt = undefined;
      take();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.close(error);
    }
  }

  /** The first hello is the session's; later ones are answered here, and what they brought follows it. */
  #hello(link: Link, request: number, hello: Hello): void {
    const subscriptions = hello.subscriptions.map((one) => this.#adopt(link, one));
    const tokens = hello.tokens.filter((one) => !this.#tokens.has(one));
    for (const one of tokens) this.#tokens.add(one);
    link.hello = request;
    if (!this.#greeted) {
      this.#greeted = true;
      this.#ask(link, request, { case: "hello", value: { ...hello, subscriptions } });
      return;
    }
    this.#welcomeLink(link);
    if (tokens.length > 0) this.#ask(link, 0, { case: "addTokens", value: { tokens } });
    for (const value of subscriptions) this.#ask(link, 0, { case: "subscribe", value });
  }

  #welcomeLink(link: Link): void {
    if (this.#welcome === undefined || link.hello === undefined) return;
    const body = { case: "welcome", value: this.#welcome } as const;
    this.#tell(link, link.hello, body);
    link.hello = undefined;
  }

  /** Gives the subscription an alias of the session's, which is never used again. */
  #adopt(link: Link, wanted: Subscribe): Subscribe {
    const alias = ++this.#aliases;
    this.#subscriptions.set(alias, { link, alias: wanted.alias });
    link.aliases.set(wanted.alias, alias);
    return { ...wanted, alias };
  }

  #unsubscribe(link: Link, alias: number, request: number): void {
    const ours = link.aliases.get(alias);
    if (ours === undefined) return;
    this.#forget(ours);
    this.#ask(link, request, { case: "unsubscribe", value: { alias: ours } });
  }

  #forget(ours: number): void {
    const at = this.#subscriptions.get(ours);
    this.#subscriptions.delete(ours);
    at?.link.aliases.delete(at.alias);
  }

  #ask(link: Link, request: number, body: ClientMessage["body"]): void {
    const ours = request === 0 ? 0 : ++this.#requests;
    if (ours !== 0) this.#asked.set(ours, { link, request });
    this.#carrier?.send(ClientMessage.encode({ request: ours, body }));
  }

  #tell(link: Link, request: number, body: Control["body"]): void {
    if (!this.#links.has(link)) return;
    const value = { request, body };
    link.sink.message(ServerMessage.encode({ body: { case: "control", value } }));
  }

  #message(bytes: Uint8Array): void {
    const reader = new Reader(bytes);
    if (reader.varint() === FRAME) {
      this.#frame(reader.bytes());
      return;
    }
    const { body } = ServerMessage.decode(bytes);
    if (body?.case === "control") this.#control(body.value);
  }

  #control({ request, body }: Control): void {
    const asked = this.#asked.get(request);
    this.#asked.delete(request);
    switch (body?.case) {
      case "welcome":
        this.#welcome = body.value;
        this.#tookMs = this.#world.now() - (this.#carrier?.dialledAt ?? 0);
        for (const link of [...this.#links]) this.#welcomeLink(link);
        return;
      case "goAway":
      case "closing":
        this.#world.leaving();
        for (const link of [...this.#links]) this.#tell(link, 0, body);
        return;
    }
    const ours = body?.case === "subscribed" || body?.case === "refused" ? body.value.alias : 0;
    if (ours === 0) {
      if (asked) this.#tell(asked.link, asked.request, body);
      return;
    }
    const at = this.#subscriptions.get(ours);
    if (at === undefined) return;
    if (body?.case === "refused") this.#forget(ours);
    const value = { ...body?.value, alias: at.alias };
    this.#tell(at.link, asked?.request ?? 0, { ...body, value } as Control["body"]);
  }

  #frame(bytes: Uint8Array, byDatagram = false): void {
    const { alias, ends } = peek(bytes);
    const at = this.#subscriptions.get(alias);
    // What comes under an alias that was given up finds nobody.
    if (at === undefined) return;
    if (ends) this.#forget(alias);
    const { sink } = at.link;
    sink.frame(alias === at.alias ? bytes : renamed(bytes, at.alias), byDatagram);
  }
}

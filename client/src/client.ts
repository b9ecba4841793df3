// One session with a gateway, handing out channels. Whatever happens to the connection happens beneath them.

import { Channel } from "./channel.js";
import { TokenwayError } from "./errors.js";
import { type Clock, systemClock } from "./session/clock.js";
import { type From, onWire } from "./session/cursor.js";
import type { Feed } from "./session/feed.js";
import type { Phase } from "./session/model.js";
import { watchPage } from "./session/page.js";
import { type Loss, type Recovery, recovered } from "./session/recovery.js";
import { Requests } from "./session/requests.js";
import { Session } from "./session/session.js";
import type { Share } from "./share/share.js";
import { sharing } from "./sharing.js";
import { Frames, onAnimationFrame, type Readable, type Schedule, Store } from "./store.js";
import { infoSource } from "./transport/info.js";
import type { ConnectInfo, Transport, TransportKind } from "./transport/transport.js";
import { websocket } from "./transport/websocket.js";
import { webtransport } from "./transport/webtransport.js";
import type { Frame } from "./wire/frame.js";
import {
  Acks,
  type Control,
  type Delivery,
  type Hello,
  PROTOCOL,
  type Published,
  type Subscribe,
  type Welcome,
} from "./wire/session.js";

/** Named to the gateway for its operator. */
export const CLIENT_NAME = "tokenway-js/0.1.0";

/** How to connect. */
export interface ConnectOptions {
  /** The gateway's origin; `GET /v1/connect/info` there says the rest. */
  readonly url?: string | URL;
  /** Or what that would say. */
  readonly info?: ConnectInfo;
  /** Channel tokens; none in open mode. */
  readonly tokens?: readonly string[];
  /** How often frames are wanted, 0 to 500 ms; the gateway's default otherwise. */
  readonly frameIntervalMs?: number;
  /** Carriers in the order of preference; WebTransport, then WebSocket, by default. */
  readonly transports?: readonly Transport[];
  /**
   * Tabs of one origin share one connection where the browser has Web Locks and BroadcastChannel: those that connect to
   * the same gateway with the same tokens and options. A text names the user instead of the tokens, for apps whose tabs
   * have tokens of their own: then one tab's tokens serve all tabs of that name. `false` shares nothing.
   */
  readonly share?: boolean | string;
  /** For tests and for pages with a rhythm of their own. */
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly schedule?: Schedule;
}

/** How to subscribe. */
export interface SubscribeOptions {
  /** `beginning` by default. */
  readonly from?: From;
  /**
   * `datagram` shows the newest at once on a network that loses packets, and costs repetitions; where the carrier has no
   * datagrams it is `stream`, the default.
   */
  readonly delivery?: Delivery;
}

/** So many acknowledgements fit into any datagram. */
const ACKS_MAX = 64;

/** The session at one moment. */
export interface ClientSnapshot {
  readonly state: Phase["name"];
  /** Undefined while not live. */
  readonly transport: TransportKind | undefined;
  /** Whether this tab holds the connection for others or uses another tab's; undefined while it shares none. */
  readonly shared: "leads" | "follows" | undefined;
  readonly rttMs: number | undefined;
  /** What the gateway said of itself. */
  readonly welcome: Welcome | undefined;
  /** The last ones, oldest first. */
  readonly recoveries: readonly Recovery[];
  readonly error: TokenwayError | undefined;
}

const RECOVERIES_MAX = 100;

/** Connects; returns at once, and goes on trying until `close`. */
export function connect(options: ConnectOptions = {}): Client {
  return new Client(options);
}

/** One session. */
export class Client {
  readonly #clock: Clock;
  readonly #session: Session;
  readonly #requests = new Requests();
  readonly #frames: Frames;
  readonly #status: Store<ClientSnapshot>;
  readonly #options: ConnectOptions;
  readonly #feeds = new Set<Feed>();
  /** By link, then by alias. What comes under an alias that was given up finds nobody. */
  readonly #links = new Map<number, { next: number; readonly feeds: Map<number, Feed> }>();
  /** Something came for these since the last acknowledgement. */
  readonly #owed = new Set<Feed>();
  readonly #attached = new Map<Feed, { readonly link: number; readonly alias: number }>();
  readonly #unhook: () => void;
  #share: Share | undefined;
  #welcome: Welcome | undefined;
  #loss: Loss | undefined;
  #droppingMs: number | undefined;
  #recoveries: readonly Recovery[] = [];

  /** Use `connect`. */
  constructor(options: ConnectOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#frames = new Frames(options.schedule ?? onAnimationFrame);
    const transports = [...(options.transports ?? [webtransport, websocket])];
    const source = infoSource(options);
    let joining = sharing(options, [...transports], this.#clock)?.then((share) => {
      joining = undefined;
      if (share === undefined) return;
      this.#share = share;
      transports.splice(0, transports.length, share);
      if (this.#error()) share.close();
    });
    this.#session = new Session(
      {
        hello: (link) => this.#hello(link),
        control: (link, control) => this.#control(link, control),
        frame: (link, frame, size, byDatagram) => this.#frame(link, frame, size, byDatagram),
        pinged: (link) => this.#acknowledge(link, this.#feeds),
        live: (link) => this.#live(link),
        lost: (link) => this.#lost(link),
        changed: () => this.#changed(),
      },
      {
        info: (again) => {
          const info = source(again);
          return joining ? Promise.all([info, joining]).then(([known]) => known) : info;
        },
        transports,
        clock: this.#clock,
        random: options.random ?? Math.random,
      },
    );
    this.#status = new Store(() => this.#snapshot(), this.#frames);
    this.#unhook = watchPage(this.#session);
    this.#session.dispatch({ type: "start" });
  }

  /** The session, to render from. */
  get status(): Readable<ClientSnapshot> {
    return this.#status;
  }

  /** Reads a channel. Each call is a subscription of its own. */
  subscribe(channel: string, options: SubscribeOptions = {}): Channel {
    const { from = "beginning", delivery = "stream" } = options;
    const one = new Channel(this, channel, from, delivery, this.#clock.now(), this.#frames);
    const error = this.#error();
    if (error) {
      one.feed.fail(error);
      return one;
    }
    this.#feeds.add(one.feed);
    // A link to come has it in its hello; one that has said hello gets a message. Of two the newer one stays.
    const link = Math.max(...this.#links.keys());
    if (this.#links.has(link)) this.#resubscribe(link, one.feed);
    return one;
  }

  /** Stops a generation of the channel, or all that run. Repeated after a drop until it is answered. */
  async cancel(channel: string, generation = ""): Promise<void> {
    await this.#ask({ case: "cancel", value: { channel, generation } }, true);
  }

  /** Puts a custom event on a channel that exists; `data` must be JSON. Not repeated after a drop. */
  async publish(channel: string, custom: { type: string; data: unknown }): Promise<Published> {
    const data = new TextEncoder().encode(JSON.stringify(custom.data ?? null));
    const value = { channel, custom: { type: custom.type, data } };
    // Only a Published answers it.
    return (await this.#ask({ case: "publish", value }, false)) as Published;
  }

  /** Leaves a channel; `Channel.detach` calls this. */
  detach(feed: Feed): void {
    this.#leave(feed);
    feed.detach();
    this.#forget(feed);
  }

  /** Cuts the connection without a goodbye and stays off for `offMs`: to see what a drop does. */
  dropConnection(offMs = 0): void {
    this.#droppingMs = offMs;
    this.#session.dispatch({ type: "drop", offMs });
    this.#droppingMs = undefined;
  }

  /**
   * Ends the session, and those of all tabs that share its connection: they fail with `signed_out`. Whatever runs goes
   * on. A tab that sleeps is told when it wakes.
   */
  signOut(): void {
    this.#share?.signOut();
    this.close();
  }

  /** Ends the session and every channel of it; other tabs go on. */
  close(): void {
    this.#session.dispatch({ type: "close" });
    this.#unhook();
  }

  /** Ends the session, as `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #ask(body: Parameters<Requests["ask"]>[1], idempotent: boolean): Promise<Published | undefined> {
    const error = this.#error();
    if (error) return Promise.reject(error);
    return this.#requests.ask(this.#session.nextRequest(), body, idempotent);
  }

  #hello(link: number): Hello {
    const { phase } = this.#session.model;
    for (const other of this.#links.keys()) {
      // Attempts that came to nothing.
      if (phase.name !== "live" || other !== phase.link) this.#links.delete(other);
    }
    this.#links.set(link, { next: 1, feeds: new Map() });
    const subscriptions = [...this.#feeds].map((feed) => this.#attach(link, feed));
    const { tokens = [], frameIntervalMs } = this.#options;
    return {
      protocol: PROTOCOL,
      client: CLIENT_NAME,
      maxStreams: 0,
      frameIntervalMs,
      tokens,
      subscriptions,
    };
  }

  /** Gives the feed an alias on the link; from now on only what comes under it counts. */
  #attach(link: number, feed: Feed): Subscribe {
    this.#unattach(feed);
    const book = this.#links.get(link);
    // Never used twice: a number that was given up may still be on its way.
    const alias = book ? book.next++ : 1;
    book?.feeds.set(alias, feed);
    this.#attached.set(feed, { link, alias });
    const byDatagram = feed.delivery === "datagram" && !!this.#session.datagramOf(link);
    const from = onWire(feed.attach(byDatagram));
    const delivery = byDatagram ? "datagram" : "stream";
    return { alias, channel: feed.channel, from, times: false, delivery };
  }

  #resubscribe(link: number, feed: Feed): void {
    this.#leave(feed);
    const value = this.#attach(link, feed);
    const request = this.#session.nextRequest();
    this.#session.send(link, { request, body: { case: "subscribe", value } });
  }

  #leave(feed: Feed): void {
    const at = this.#attached.get(feed);
    if (!at) return;
    const body = { case: "unsubscribe", value: { alias: at.alias } } as const;
    this.#session.send(at.link, { request: 0, body });
  }

  #unattach(feed: Feed): void {
    const at = this.#attached.get(feed);
    if (at) this.#links.get(at.link)?.feeds.delete(at.alias);
    this.#attached.delete(feed);
  }

  #find(link: number, alias: number): Feed | undefined {
    return this.#links.get(link)?.feeds.get(alias);
  }

  #control(link: number, control: Control): void {
    const { body } = control;
    if (body?.case === "welcome") {
      this.#welcome = body.value;
      this.#status.touch();
    } else if (body?.case === "subscribed") {
      const feed = this.#find(link, body.value.alias);
      if (feed?.subscribed(body.value, this.#clock.now())) this.#backAgain();
      if (feed?.over) this.#links.get(link)?.feeds.delete(body.value.alias);
    } else if (body?.case === "refused" && body.value.alias !== 0) {
      const feed = this.#find(link, body.value.alias);
      if (feed) this.#follow(link, feed, feed.refused(body.value));
    } else {
      this.#requests.answer(control);
    }
  }

  #frame(link: number, frame: Frame, size: number, byDatagram: boolean): void {
    const feed = this.#find(link, frame.alias);
    if (feed === undefined) return;
    const before = feed.received;
    const outcome = feed.frame(frame, size, byDatagram, this.#clock.now());
    if (feed.received > before) this.#backAgain();
    if (feed.contiguous !== undefined) {
      this.#owed.add(feed);
      this.#frames.request(this.#acknowledgeOwed);
    }
    this.#follow(link, feed, outcome);
  }

  readonly #acknowledgeOwed = (): void => {
    for (const link of this.#links.keys()) this.#acknowledge(link, this.#owed);
    this.#owed.clear();
  };

  /** Tells the gateway what has come of these, so that it is not sent again. */
  #acknowledge(link: number, feeds: Iterable<Feed>): void {
    const acks: Acks["acks"][number][] = [];
    for (const feed of feeds) {
      const at = this.#attached.get(feed);
      const seq = feed.contiguous;
      if (at?.link === link && seq !== undefined) acks.push({ alias: at.alias, seq });
    }
    const send = this.#session.datagramOf(link);
    while (acks.length > 0) send?.(Acks.encode({ acks: acks.splice(0, ACKS_MAX) }));
  }

  #follow(link: number, feed: Feed, outcome: ReturnType<Feed["refused"]>): void {
    if (outcome === "again") this.#resubscribe(link, feed);
    else if (outcome === "over" && feed.acknowledged) this.#forget(feed);
    else if (outcome === "over") {
      // The end overtook Subscribed, which may still tell the epoch: the alias is kept for it.
      this.#feeds.delete(feed);
      this.#attached.delete(feed);
    }
  }

  #forget(feed: Feed): void {
    this.#feeds.delete(feed);
    this.#unattach(feed);
  }

  #live(link: number): void {
    for (const other of this.#links.keys()) if (other !== link) this.#links.delete(other);
    this.#requests.connected((message) => this.#session.send(link, message));
    if (this.#feeds.size === 0) this.#backAgain();
  }

  #lost(link: number): void {
    this.#links.delete(link);
    this.#requests.disconnected();
    this.#welcome = undefined;
    const offMs = this.#droppingMs;
    this.#loss ??= {
      cause: offMs === undefined ? "lost" : "dropped",
      since: this.#clock.now(),
      offMs: offMs ?? 0,
    };
  }

  #backAgain(): void {
    if (this.#loss === undefined) return;
    const { phase } = this.#session.model;
    const link =
      phase.name === "live" ? phase.link : phase.name === "connecting" ? phase.attempt.id : 0;
    const back = recovered(this.#loss, this.#clock.now(), this.#session.kindOf(link));
    this.#loss = undefined;
    this.#recoveries = [...this.#recoveries, back].slice(-RECOVERIES_MAX);
    this.#status.touch();
  }

  #changed(): void {
    this.#status.touch();
    const error = this.#error();
    if (!error) return;
    this.#share?.close();
    this.#requests.fail(error);
    for (const feed of this.#feeds) {
      if (error.code === "closed") feed.detach();
      else feed.fail(error);
    }
    this.#feeds.clear();
    this.#attached.clear();
    this.#links.clear();
  }

  /** Why the session is over, if it is. */
  #error(): TokenwayError | undefined {
    const { phase } = this.#session.model;
    return phase.name === "closed" ? new TokenwayError(phase.code, phase.message) : undefined;
  }

  #snapshot(): ClientSnapshot {
    const { phase, rttMs } = this.#session.model;
    const error = this.#error();
    return {
      state: phase.name,
      transport: phase.name === "live" ? this.#session.kindOf(phase.link) : undefined,
      shared:
        this.#share && phase.name === "live"
          ? this.#share.leads
            ? "leads"
            : "follows"
          : undefined,
      rttMs,
      welcome: this.#welcome,
      recoveries: this.#recoveries,
      error: error?.code === "closed" ? undefined : error,
    };
  }
}

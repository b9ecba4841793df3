/// <reference lib="esnext.disposable" preserve="true" />
// One session with a gateway, handing out channels. Whatever happens to the connection happens beneath them.

import { Channel } from "./channel.js";
import { ConnectionError, refusalOf, renews, type TokenwayError } from "./errors.js";
import type { ClientSnapshot, ConnectOptions, SubscribeOptions } from "./options.js";
import { Aliases } from "./session/aliases.js";
import { type Clock, systemClock } from "./session/clock.js";
import { onWire } from "./session/cursor.js";
import { isHttp } from "./session/dialling.js";
import { Feed, type Outcome } from "./session/feed.js";
import { Recoveries } from "./session/recovery.js";
import { type Body, Requests } from "./session/requests.js";
import { Session } from "./session/session.js";
import { Keyring } from "./session/tokens.js";
import type { Share } from "./share/share.js";
import { sharing } from "./sharing.js";
import { Frames, onAnimationFrame, type Readable, Store } from "./store.js";
import { longpoll, sse, websocket, webtransport } from "./transport/carriers.js";
import { infoSource } from "./transport/info.js";
import type { Frame } from "./wire/frame.js";
import {
  type Control,
  type Hello,
  PROTOCOL,
  type Published,
  type Subscribe,
  type Welcome,
} from "./wire/session.js";

/** Named to the gateway for its operator. */
export const CLIENT_NAME = "tokenway-js/0.1.0";

/** Connects; returns at once, and goes on trying until `close`. */
export function connect(options: ConnectOptions = {}): Client {
  return new Client(options);
}

/** One session. */
export class Client implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #session: Session;
  readonly #tokens: Keyring;
  readonly #requests = new Requests();
  readonly #frames: Frames;
  readonly #status: Store<ClientSnapshot>;
  readonly #frameIntervalMs: number | undefined;
  readonly #feeds = new Set<Feed>();
  /** Those that no token opens until newer ones come. */
  readonly #locked = new Set<Feed>();
  readonly #aliases = new Aliases();
  /** The link that has said hello last. */
  #greeted: number | undefined;
  readonly #recoveries = new Recoveries();
  /** Ends the watch of the page, where there is one. */
  readonly #page: Promise<(() => void) | undefined>;
  #share: Share | undefined;
  #welcome: Welcome | undefined;
  #droppingMs: number | undefined;

  /** Use `connect`. */
  constructor(options: ConnectOptions) {
    const { url, info, tokens = [], clock = systemClock, random = Math.random } = options;
    this.#frameIntervalMs = options.frameIntervalMs;
    this.#clock = clock;
    this.#frames = new Frames(options.schedule ?? onAnimationFrame);
    const transports = [...(options.transports ?? [webtransport, websocket, sse, longpoll])];
    // While the gateway is asked where it listens. What cannot be loaded says so when it is dialled.
    transports
      .find((one) => !one.lack(info))
      ?.load?.()
      .catch(() => undefined);
    const source = infoSource(url, info);
    let joining = sharing(options, [...transports], clock)?.then((share) => {
      joining = undefined;
      if (share === undefined) return;
      this.#share = share;
      transports.splice(0, transports.length, share);
      if (this.#error()) share.close();
    });
    this.#tokens = new Keyring(tokens, clock, random, (fetched) => this.#show(fetched));
    this.#session = new Session(
      {
        hello: (link) => this.#hello(link),
        control: (link, control) => this.#control(link, control),
        frame: (link, frame, size, byDatagram) => this.#frame(link, frame, size, byDatagram),
        live: (link) => this.#live(link),
        hungUp: (link) => this.#hungUp(link),
        lost: () => this.#lost(),
        changed: () => this.#changed(),
      },
      {
        info: (again) => {
          const where = source(again);
          return joining ? Promise.all([where, joining]).then(([known]) => known) : where;
        },
        transports,
        tokens: this.#tokens,
        gateway: `${url ?? info?.websocket}`,
        clock,
        random,
      },
    );
    this.#status = new Store(() => this.#snapshot(), this.#frames);
    this.#page = import("./session/page.js")
      .then(({ watchPage }) => watchPage((event) => this.#session.dispatch(event)))
      .catch(() => undefined);
    this.#session.dispatch({ type: "start" });
  }

  /** The session, to render from. */
  get status(): Readable<ClientSnapshot> {
    return this.#status;
  }

  /** Reads a channel. Each call is a subscription of its own. */
  subscribe(channel: string, options: SubscribeOptions = {}): Channel {
    const { from = "beginning", delivery = "stream" } = options;
    const feed = new Feed(channel, from, delivery, this.#clock.now(), this.#frames);
    const error = this.#error();
    if (error) feed.fail(error);
    else this.#feeds.add(feed);
    // A link to come has it in its hello; one that has said hello gets a message.
    const link = this.#session.live ?? this.#greeted;
    if (link) this.#resubscribe(link, feed);
    return new Channel(this, feed);
  }

  /**
   * Stops a generation of the channel, or all that run. One that is named is stopped again after a drop until that is
   * answered; all are not, since others may have begun by then: then it rejects with `connection_lost`.
   */
  async cancel(channel: string, generation = ""): Promise<void> {
    await this.#ask({ case: "cancel", value: { channel, generation } }, !!generation);
  }

  /** Puts a custom event on a channel that exists; `data` must be JSON. Not repeated after a drop. */
  async publish(
    channel: string,
    custom: { readonly type: string; readonly data: unknown },
  ): Promise<Published> {
    const data = new TextEncoder().encode(JSON.stringify(custom.data ?? null));
    const value = { channel, custom: { type: custom.type, data } };
    // Only a Published answers it.
    return (await this.#ask({ case: "publish", value }, false)) as Published;
  }

  /** Further channel tokens, beside those given before: for channels that came later. */
  addTokens(...tokens: readonly string[]): void {
    this.#tokens.add(tokens);
    this.#show(tokens);
  }

  /** @internal Leaves a channel; `Channel.detach` calls this. */
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
    this.#tokens.ask("close")?.catch(() => undefined);
    this.#page.then((unwatch) => unwatch?.());
  }

  /** Ends the session, as `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #ask(body: Body, idempotent: boolean): Promise<Published | undefined> {
    return this.#requests.ask(this.#session.nextRequest(), body, idempotent);
  }

  /** Tells a running session; the next one has them in its hello. */
  #show(tokens: readonly string[]): void {
    const { live } = this.#session;
    this.#session.say(live, { case: "addTokens", value: { tokens } });
    if (live === undefined) return;
    for (const feed of this.#locked) if (!feed.over) this.#resubscribe(live, feed);
    this.#locked.clear();
  }

  #hello(link: number): Hello {
    this.#greeted = link;
    this.#locked.clear();
    const { live } = this.#session;
    // Beside a live link they stay there until this one is welcomed; but over HTTP only reading proves that it carries.
    const moves = !live || isHttp(this.#session.kindOf(link));
    return {
      protocol: PROTOCOL,
      client: CLIENT_NAME,
      maxStreams: 0,
      frameIntervalMs: this.#frameIntervalMs,
      tokens: this.#tokens.all,
      subscriptions: moves ? [...this.#feeds].map((feed) => this.#attach(link, feed)) : [],
    };
  }

  #attach(link: number, feed: Feed): Subscribe {
    const { alias } = this.#aliases.attach(link, feed);
    const { channel, delivery } = feed;
    return { alias, channel, from: onWire(feed.attach()), times: false, delivery };
  }

  #resubscribe(link: number, feed: Feed): void {
    this.#leave(feed);
    this.#session.say(link, { case: "subscribe", value: this.#attach(link, feed) });
  }

  #leave(feed: Feed): void {
    const value = feed.place;
    if (value) this.#session.say(value.link, { case: "unsubscribe", value });
  }

  #control(link: number, control: Control): void {
    const { body } = control;
    if (body?.case === "welcome") {
      this.#welcome = body.value;
      this.#status.touch();
      return;
    }
    const alias = body?.case === "subscribed" || body?.case === "refused" ? body.value.alias : 0;
    const feed = this.#aliases.find(alias);
    if (alias === 0) this.#requests.answer(control);
    else if (body?.case === "subscribed") {
      if (feed?.subscribed(body.value)) this.#backAgain();
      if (feed?.over) this.#aliases.detach(feed);
    } else if (body?.case === "refused" && feed) {
      this.#follow(link, feed, feed.refused(body.value, this.#tokens.renewable));
    }
  }

  #frame(link: number, frame: Frame, size: number, byDatagram: boolean): void {
    const feed = this.#aliases.find(frame.alias);
    if (!feed) return;
    const before = feed.received;
    const now = this.#clock.now();
    const outcome = feed.frame(frame, size, byDatagram, now, this.#tokens.renewable);
    if (feed.received > before) this.#backAgain();
    this.#follow(link, feed, outcome);
  }

  #follow(link: number, feed: Feed, outcome: Outcome): void {
    if (outcome === "again") this.#resubscribe(link, feed);
    else if (outcome === "renew") {
      // Subscribed again with those that come; where none can be fetched now, that is tried again.
      this.#locked.add(feed);
      this.#tokens.ask("renew")?.catch(() => undefined);
    } else if (outcome === "over") {
      this.#feeds.delete(feed);
      // The end may overtake Subscribed, which may still tell the epoch: the alias is kept for it.
      if (feed.acknowledged) this.#aliases.detach(feed);
    }
  }

  #forget(feed: Feed): void {
    this.#feeds.delete(feed);
    this.#aliases.detach(feed);
  }

  #live(link: number): void {
    this.#moveTo(link, (place) => place !== link);
    // What was asked on the link before gets no answer.
    this.#requests.disconnected();
    this.#requests.connected((body, request) => this.#session.say(link, body, request));
    if (this.#feeds.size === 0) this.#backAgain();
  }

  /** An attempt came to nothing: what was attached there goes back. */
  #hungUp(link: number): void {
    const { live } = this.#session;
    if (live && live !== link) this.#moveTo(live, (place) => place === link);
  }

  #moveTo(link: number, from: (place: number | undefined) => boolean): void {
    for (const feed of this.#feeds) if (from(feed.place?.link)) this.#resubscribe(link, feed);
  }

  #lost(): void {
    this.#requests.disconnected();
    this.#welcome = undefined;
    const dropping = this.#droppingMs;
    const { name } = this.#session.model.phase;
    const cause = name === "asleep" ? "slept" : dropping === undefined ? "lost" : "dropped";
    this.#recoveries.lost(cause, this.#clock.now(), dropping ?? 0);
  }

  #backAgain(): void {
    const kind = this.#session.kindOf(this.#session.live ?? this.#greeted ?? 0);
    if (this.#recoveries.back(this.#clock.now(), kind)) this.#status.touch();
  }

  #changed(): void {
    this.#status.touch();
    if (this.#session.model.phase.name !== "asleep") this.#recoveries.awake(this.#clock.now());
    const error = this.#error();
    if (!error) return;
    this.#share?.close();
    this.#requests.fail(error);
    for (const feed of this.#feeds) {
      if (error.code === "closed") feed.detach();
      else feed.fail(error);
    }
    this.#feeds.clear();
  }

  /** Why the session is over, if it is. */
  #error(): TokenwayError | undefined {
    const { phase } = this.#session.model;
    if (phase.name !== "closed") return undefined;
    const { code, message } = phase;
    return renews(code) ? refusalOf(code, message) : new ConnectionError(code, message);
  }

  #snapshot(): ClientSnapshot {
    const { phase, rttMs } = this.#session.model;
    const link = this.#session.live;
    const error = this.#error();
    return {
      state: phase.name,
      transport: link === undefined ? undefined : this.#session.kindOf(link),
      shared: link === undefined ? undefined : this.#share?.role,
      rttMs,
      welcome: this.#welcome,
      recoveries: this.#recoveries.all,
      failure: this.#session.failure,
      error: error?.code === "closed" ? undefined : error,
    };
  }
}

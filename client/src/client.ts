// One session with a gateway, handing out channels. Whatever happens to the connection happens beneath them.

import { Channel } from "./channel.js";
import { errorOf, type TokenwayError } from "./errors.js";
import type { ClientSnapshot, ConnectOptions, SubscribeOptions } from "./options.js";
import { Aliases } from "./session/aliases.js";
import { type Clock, systemClock } from "./session/clock.js";
import { onWire } from "./session/cursor.js";
import type { Feed, Outcome } from "./session/feed.js";
import { Memory } from "./session/memory.js";
import { watchPage } from "./session/page.js";
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
  readonly #aliases = new Aliases();
  readonly #recoveries = new Recoveries();
  readonly #unhook: () => void;
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
        lost: (link) => this.#lost(link),
        changed: () => this.#changed(),
      },
      {
        info: (again) => {
          const where = source(again);
          return joining ? Promise.all([where, joining]).then(([known]) => known) : where;
        },
        transports,
        tokens: this.#tokens,
        memory: new Memory(`${url ?? info?.websocket ?? ""}`),
        clock,
        random,
      },
    );
    this.#status = new Store(() => this.#snapshot(), this.#frames);
    this.#unhook = watchPage((event) => this.#session.dispatch(event));
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
    // A link to come has it in its hello; one that has said hello gets a message.
    const link = this.#aliases.newest;
    if (link !== undefined) this.#resubscribe(link, one.feed);
    return one;
  }

  /** Stops a generation of the channel, or all that run. Repeated after a drop until it is answered. */
  async cancel(channel: string, generation = ""): Promise<void> {
    await this.#ask({ case: "cancel", value: { channel, generation } }, true);
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
    this.#tokens.close();
    this.#unhook();
  }

  /** Ends the session, as `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #ask(body: Body, idempotent: boolean): Promise<Published | undefined> {
    const error = this.#error();
    if (error) return Promise.reject(error);
    return this.#requests.ask(this.#session.nextRequest(), body, idempotent);
  }

  /** Tells a running session; the next one has them in its hello. */
  #show(tokens: readonly string[]): void {
    const link = this.#session.live;
    const body = { case: "addTokens", value: { tokens } } as const;
    if (link !== undefined && tokens.length > 0) this.#session.send(link, { request: 0, body });
  }

  #hello(link: number): Hello {
    // The others were attempts that came to nothing.
    this.#aliases.open(link, this.#session.live);
    return {
      protocol: PROTOCOL,
      client: CLIENT_NAME,
      maxStreams: 0,
      frameIntervalMs: this.#frameIntervalMs,
      tokens: this.#tokens.all,
      subscriptions: [...this.#feeds].map((feed) => this.#attach(link, feed)),
    };
  }

  #attach(link: number, feed: Feed): Subscribe {
    const alias = this.#aliases.attach(link, feed);
    const { channel, delivery } = feed;
    return { alias, channel, from: onWire(feed.attach()), times: false, delivery };
  }

  #resubscribe(link: number, feed: Feed): void {
    this.#leave(feed);
    const value = this.#attach(link, feed);
    const request = this.#session.nextRequest();
    this.#session.send(link, { request, body: { case: "subscribe", value } });
  }

  #leave(feed: Feed): void {
    const at = this.#aliases.placeOf(feed);
    if (!at) return;
    const body = { case: "unsubscribe", value: { alias: at.alias } } as const;
    this.#session.send(at.link, { request: 0, body });
  }

  #control(link: number, control: Control): void {
    const { body } = control;
    if (body?.case === "welcome") {
      this.#welcome = body.value;
      this.#status.touch();
      return;
    }
    const alias = body?.case === "subscribed" || body?.case === "refused" ? body.value.alias : 0;
    const feed = this.#aliases.find(link, alias);
    if (alias === 0) this.#requests.answer(control);
    else if (body?.case === "subscribed") {
      if (feed?.subscribed(body.value)) this.#backAgain();
      if (feed?.over) this.#aliases.giveUp({ link, alias });
    } else if (body?.case === "refused" && feed) {
      this.#follow(link, feed, feed.refused(body.value, this.#tokens.renewable));
    }
  }

  #frame(link: number, frame: Frame, size: number, byDatagram: boolean): void {
    const feed = this.#aliases.find(link, frame.alias);
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
      const again = (): void => {
        if (this.#session.live === link && !feed.over) this.#resubscribe(link, feed);
      };
      this.#tokens.renew().then(again, (error: Error) => {
        feed.fail(errorOf("unauthorized", `no token could be fetched: ${error?.message}`));
      });
    } else if (outcome === "over") {
      this.#feeds.delete(feed);
      // The end may overtake Subscribed, which may still tell the epoch: the alias is kept for it.
      if (feed.acknowledged) this.#aliases.detach(feed);
      else this.#aliases.retire(feed);
    }
  }

  #forget(feed: Feed): void {
    this.#feeds.delete(feed);
    this.#aliases.detach(feed);
  }

  #live(link: number): void {
    this.#aliases.keep(link);
    this.#requests.connected((message) => this.#session.send(link, message));
    if (this.#feeds.size === 0) this.#backAgain();
  }

  #lost(link: number): void {
    this.#aliases.drop(link);
    this.#requests.disconnected();
    this.#welcome = undefined;
    const dropping = this.#droppingMs;
    const cause = dropping === undefined ? "lost" : "dropped";
    const { name } = this.#session.model.phase;
    this.#recoveries.lost(name === "asleep" ? "slept" : cause, this.#clock.now(), dropping ?? 0);
  }

  #backAgain(): void {
    const kind = this.#session.kindOf(this.#aliases.newest ?? 0);
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
    this.#aliases.clear();
  }

  /** Why the session is over, if it is. */
  #error(): TokenwayError | undefined {
    const { phase } = this.#session.model;
    return phase.name === "closed" ? errorOf(phase.code, phase.message) : undefined;
  }

  #snapshot(): ClientSnapshot {
    const { phase, rttMs } = this.#session.model;
    const link = this.#session.live;
    const error = this.#error();
    return {
      state: phase.name,
      transport: link === undefined ? undefined : this.#session.kindOf(link),
      shared:
        this.#share && link !== undefined ? (this.#share.leads ? "leads" : "follows") : undefined,
      rttMs,
      welcome: this.#welcome,
      recoveries: this.#recoveries.all,
      error: error?.code === "closed" ? undefined : error,
    };
  }
}

// One session with a gateway, handing out channels. Whatever happens to the connection happens beneath them.

import { Channel } from "./channel.js";
import { ConnectionError, refusalOf, renews, type TokenwayError } from "./errors.js";
import type { ClientSnapshot, ConnectOptions, SubscribeOptions } from "./options.js";
import { Aliases } from "./session/aliases.js";
import { type Clock, systemClock } from "./session/clock.js";
import { onWire } from "./session/cursor.js";
import { Feed, type Outcome } from "./session/feed.js";
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
  /** The links that have said hello, oldest first: the live one, and one that is to replace it. */
  #links: readonly number[] = [];
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
        gateway: `${url ?? info?.websocket}`,
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
    const feed = new Feed(channel, from, delivery, this.#clock.now(), this.#frames);
    const error = this.#error();
    if (error) feed.fail(error);
    else this.#feeds.add(feed);
    // A link to come has it in its hello; one that has said hello gets a message.
    const link = this.#links.at(-1);
    if (link) this.#resubscribe(link, feed);
    return new Channel(this, feed);
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
    return this.#requests.ask(this.#session.nextRequest(), body, idempotent);
  }

  /** Tells a running session; the next one has them in its hello. */
  #show(tokens: readonly string[]): void {
    this.#session.say(this.#session.live, { case: "addTokens", value: { tokens } });
  }

  #hello(link: number): Hello {
    // The others were attempts that came to nothing.
    this.#links = [...this.#links.filter((one) => one === this.#session.live), link];
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
      const again = (): void => {
        if (this.#session.live === link && !feed.over) this.#resubscribe(link, feed);
      };
      // Where none can be fetched now, that is tried again, and a hello takes the feed along.
      this.#tokens.renew().then(again, () => undefined);
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
    this.#links = [link];
    this.#requests.connected((body, request) => this.#session.say(link, body, request));
    if (this.#feeds.size === 0) this.#backAgain();
  }

  #lost(link: number): void {
    this.#links = this.#links.filter((one) => one !== link);
    this.#requests.disconnected();
    this.#welcome = undefined;
    const dropping = this.#droppingMs;
    const { name } = this.#session.model.phase;
    const cause = name === "asleep" ? "slept" : dropping === undefined ? "lost" : "dropped";
    this.#recoveries.lost(cause, this.#clock.now(), dropping ?? 0);
  }

  #backAgain(): void {
    const kind = this.#session.kindOf(this.#links.at(-1) ?? 0);
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
    this.#links = [];
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
      error: error?.code === "closed" ? undefined : error,
    };
  }
}

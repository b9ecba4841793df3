// Carries out what state.ts decides: dials, writes, reads, sets timers. Decides nothing itself.

import { refusalOf, renews } from "../errors.js";
import type { InfoSource } from "../transport/info.js";
import type { ConnectInfo, Sink, Transport } from "../transport/transport.js";
import { Frame } from "../wire/frame.js";
import { WireError } from "../wire/protobuf.js";
import { ClientMessage, type Control, type Hello, ServerMessage } from "../wire/session.js";
import type { Clock } from "./clock.js";
import { lackOf } from "./lack.js";
import { recall, remember } from "./memory.js";
import { type Command, initial, type Model, NEVER, type SessionEvent } from "./model.js";
import { type Race, race } from "./race.js";
import { step, wakeAt } from "./state.js";
import type { Keyring } from "./tokens.js";

/** What the session needs from its owner, and what it tells. A link is one connection, by its number. */
export interface SessionHost {
  /** The hello for a new link: it takes the subscriptions along. */
  hello(link: number): Hello;
  control(link: number, control: Control): void;
  /** A frame, how many bytes it took, and whether it came by datagram. */
  frame(link: number, frame: Frame, size: number, byDatagram: boolean): void;
  /** The link was welcomed and is the one to speak on. */
  live(link: number): void;
  /** An attempt that had said hello, perhaps, came to nothing. */
  hungUp(link: number): void;
  /** The link that was live is not any more. */
  lost(): void;
  /** The model changed. */
  changed(): void;
}

/** How the session reaches the world. */
export interface SessionWorld {
  /** Where the gateway is. */
  readonly info: InfoSource;
  readonly transports: readonly Transport[];
  readonly tokens: Keyring;
  /** Names the gateway to the tab's memory. */
  readonly gateway: string;
  readonly clock: Clock;
  readonly random: () => number;
}

/** So many attempts in a row without a welcome make the session ask again where the gateway is. */
const ASK_AGAIN_AFTER = 3;

/** If tokens that are new are refused again and again, each within this time, asking for others does not help. */
const SPOILS_MAX = 5;
const SPOILS_MS = 60_000;

/** One session and all its connections. */
export class Session {
  readonly #host: SessionHost;
  readonly #world: SessionWorld;
  readonly #links = new Map<number, Race>();
  #model: Model;
  #callOff: (() => void) | undefined;
  #wakesAt: number | undefined;
  /** Why the last attempt came to nothing, or the last connection was lost; undefined once welcomed. */
  failure: unknown;
  #dials = 0;
  #spoils = 0;
  #spoiltAt = 0;
  #requests = 0;

  constructor(host: SessionHost, world: SessionWorld) {
    this.#host = host;
    this.#world = world;
    this.#model = { ...initial, ...recall(world.gateway, world.clock.wall()) };
  }

  get model(): Model {
    return this.#model;
  }

  /** The link that is live, if one is. */
  get live(): number | undefined {
    return liveOf(this.#model);
  }

  /** The carrier of a link. */
  kindOf(link: number): Race["kind"] {
    return this.#links.get(link)?.kind;
  }

  /** A number for a request that wants an answer. */
  nextRequest(): number {
    return ++this.#requests;
  }

  /** Sends on a link, if it is there. Answers that nobody waits for have no request. */
  say(link: number | undefined, body: ClientMessage["body"], request = 0): void {
    this.#links.get(link ?? 0)?.send(ClientMessage.encode({ request, body }));
  }

  dispatch(event: SessionEvent): void {
    const before = this.#model;
    const { clock, random, gateway } = this.#world;
    const { model, commands } = step(before, event, clock.now(), random());
    this.#model = model;
    // Lost is told before the commands: a hello of the next link must find the last one gone.
    const [was, is] = [liveOf(before), liveOf(model)];
    if (was !== undefined && is === undefined) this.#host.lost();
    for (const command of commands) this.#carryOut(command);
    if (is !== undefined && is !== was) {
      this.#dials = 0;
      this.#host.live(is);
    }
    this.#setTimer();
    if (model.strikes !== before.strikes) remember(gateway, model, clock.wall());
    if (model !== before) this.#host.changed();
  }

  #carryOut(command: Command): void {
    const { attempt } = command as { readonly attempt: number };
    switch (command.type) {
      case "dial":
        this.#dials += 1;
        this.#dial(command);
        break;
      case "hello":
        this.say(attempt, { case: "hello", value: this.#host.hello(attempt) });
        break;
      case "hangUp":
        this.#hangUp(attempt);
        break;
      case "ping":
        // A number, so that a shared connection knows whose it is.
        this.say(attempt, { case: "ping", value: command }, this.nextRequest());
        break;
      case "settle":
        // Twice, so that whatever was queued when the timer ran is read before the path is judged.
        this.#soon(() => this.#soon(() => this.dispatch({ type: "settled" })));
    }
  }

  #soon(then: () => void): void {
    this.#world.clock.after(0, then);
  }

  #hangUp(link: number): void {
    this.#links.get(link)?.close();
    this.#links.delete(link);
    this.#host.hungUp(link);
  }

  #dial(command: Extract<Command, { type: "dial" }>): void {
    const { attempt } = command;
    const { info, transports, clock, tokens } = this.#world;
    const begin = (where: ConnectInfo): void => {
      // The attempt may have been given up while the answer was on its way.
      const wanted = this.#model.pending?.id === attempt;
      if (!wanted || this.#lacks(attempt, where)) return;
      const plan = { ...command, token: tokens.all.at(-1) };
      this.#links.set(attempt, race(where, transports, plan, clock, this.#sink(attempt)));
    };
    // Where nothing can be dialled with, no answer of the gateway's would help.
    if (this.#lacks(attempt, undefined)) return;
    const gone = (cause: unknown): void => {
      this.failure = cause;
      this.dispatch({ type: "gone", attempt });
    };
    try {
      const [where, fresh] = [info(this.#dials > ASK_AGAIN_AFTER), tokens.ask("fresh")];
      if (where instanceof Promise || fresh) {
        Promise.all([where, fresh])
          .then(([known]) => begin(known))
          .catch(gone);
      } else begin(where);
    } catch (error) {
      this.#soon(() => gone(error));
    }
  }

  /** Whether no transport can be used, as far as is known; if so the attempt ends soon. */
  #lacks(attempt: number, info: ConnectInfo | undefined): boolean {
    const lack = lackOf(this.#world.transports, info);
    if (lack === undefined) return false;
    const message = `no transport can be used: ${lack}`;
    this.#soon(() => this.dispatch({ type: "noTransport", attempt, message }));
    return true;
  }

  #sink(attempt: number): Sink {
    const closed = (cause: unknown): void => {
      this.failure = cause;
      this.#hangUp(attempt);
      this.dispatch({ type: "gone", attempt });
    };
    const guard =
      (take: (bytes: Uint8Array, byDatagram: boolean) => void) =>
      (bytes: Uint8Array, byDatagram = false): void => {
        try {
          take(bytes, byDatagram);
        } catch (error) {
          if (!(error instanceof WireError)) throw error;
          // What cannot be understood may have been an event: only a new link makes up for it.
          closed(error);
        }
      };
    const take = (frame: Frame, bytes: Uint8Array, byDatagram: boolean): void => {
      this.#heard(attempt);
      this.#host.frame(attempt, frame, bytes.length, byDatagram);
    };
    return {
      opened: () => {
        const kind = this.kindOf(attempt);
        if (kind) this.dispatch({ type: "opened", attempt, kind });
      },
      message: guard((bytes) => {
        const { body } = ServerMessage.decode(bytes);
        if (body?.case === "frame") take(body.value, bytes, false);
        else if (body) this.#control(attempt, body.value);
      }),
      frame: guard((bytes, byDatagram) => take(Frame.decode(bytes), bytes, byDatagram)),
      closed,
    };
  }

  #control(attempt: number, control: Control): void {
    const { body } = control;
    switch (body?.case) {
      case "welcome": {
        const { kind, dialledAt = 0 } = this.#links.get(attempt) ?? {};
        if (!kind) return;
        const { heartbeatMs } = body.value;
        this.failure = undefined;
        this.dispatch({ type: "welcomed", attempt, kind, dialledAt, heartbeatMs });
        break;
      }
      case "pong":
        this.dispatch({ type: "ponged", attempt, nonce: body.value.nonce });
        return;
      case "goAway":
        this.dispatch({ type: "goAway", attempt });
        return;
      case "closing": {
        const { code, message, retry } = body.value;
        const { tokens, clock } = this.#world;
        if (clock.now() > this.#spoiltAt + SPOILS_MS) this.#spoils = 0;
        this.#spoiltAt = clock.now();
        const renewed = renews(code) && tokens.renewable && this.#spoils++ < SPOILS_MAX;
        if (renewed) tokens.ask("renew")?.catch(() => undefined);
        this.failure = refusalOf(code, message);
        this.dispatch({ type: "closing", attempt, code, message, retry: retry || renewed });
        return;
      }
      default:
        this.#heard(attempt);
    }
    this.#host.control(attempt, control);
  }

  /** Every sign of life counts, but only the first since the last tick can change what the watchdog does. */
  #heard(attempt: number): void {
    const { phase } = this.#model;
    if (phase.name !== "live" || phase.link !== attempt) return;
    if (!phase.beat.suspect && phase.beat.pings.length === 0) return;
    this.dispatch({ type: "heard", attempt });
  }

  #setTimer(): void {
    const at = wakeAt(this.#model);
    if (at === this.#wakesAt && this.#callOff) return;
    this.#callOff?.();
    this.#wakesAt = at;
    this.#callOff = undefined;
    if (at === NEVER) return;
    const { clock } = this.#world;
    this.#callOff = clock.after(Math.max(0, at - clock.now()), () => {
      this.#callOff = undefined;
      this.dispatch({ type: "tick" });
    });
  }
}

const liveOf = ({ phase }: Model): number | undefined =>
  phase.name === "live" ? phase.link : undefined;

// Carries out what state.ts decides: dials, writes, reads, sets timers. Decides nothing itself.

import type { ConnectInfo, Sink, Transport } from "../transport/transport.js";
import { Frame } from "../wire/frame.js";
import { Deframer } from "../wire/framing.js";
import { WireError } from "../wire/protobuf.js";
import { ClientMessage, type Control, type Hello, ServerMessage } from "../wire/session.js";
import type { Clock } from "./clock.js";
import { nothingToDialWith } from "./lack.js";
import { type Command, initial, type Model, type SessionEvent } from "./model.js";
import { Race } from "./race.js";
import { pendingOf, step, wakeAt } from "./state.js";

/** What the session needs from its owner, and what it tells. A link is one connection, by its number. */
export interface SessionHost {
  /** The hello for a new link: it takes the subscriptions along. */
  hello(link: number): Hello;
  control(link: number, control: Control): void;
  /** A frame, how many bytes it took, and whether it came by datagram: then others may be missing before it. */
  frame(link: number, frame: Frame, size: number, byDatagram: boolean): void;
  /** A ping was sent: what else is due at times may go with it. */
  pinged(link: number): void;
  /** The link was welcomed and is the one to speak on. */
  live(link: number): void;
  /** The link that was live is not any more. */
  lost(link: number): void;
  /** The model changed. */
  changed(): void;
}

/** How the session reaches the world. */
export interface SessionWorld {
  /** Where the gateway is; `again` asks for a fresh answer. */
  info(again: boolean): Promise<ConnectInfo> | ConnectInfo;
  readonly transports: readonly Transport[];
  readonly clock: Clock;
  readonly random: () => number;
}

/** So many attempts in a row without a welcome make the session ask again where the gateway is. */
const ASK_AGAIN_AFTER = 3;

/** One session and all its connections. */
export class Session {
  readonly #host: SessionHost;
  readonly #world: SessionWorld;
  readonly #links = new Map<number, Race>();
  #model: Model = initial;
  #callOff: (() => void) | undefined;
  #wakesAt: number | undefined;
  #dials = 0;
  #requests = 0;

  constructor(host: SessionHost, world: SessionWorld) {
    this.#host = host;
    this.#world = world;
  }

  get model(): Model {
    return this.#model;
  }

  /** The carrier of a link. */
  kindOf(link: number): Race["kind"] {
    return this.#links.get(link)?.kind;
  }

  /** A number for a request that wants an answer. */
  nextRequest(): number {
    return ++this.#requests;
  }

  /** Sends a datagram; undefined where the link's carrier has none. */
  datagramOf(link: number): Race["datagram"] {
    return this.#links.get(link)?.datagram;
  }

  send(link: number, message: ClientMessage): void {
    this.#links.get(link)?.send(ClientMessage.encode(message));
  }

  dispatch(event: SessionEvent): void {
    const before = this.#model;
    const { model, commands } = step(before, event, this.#world.clock.now(), this.#world.random());
    this.#model = model;
    // Lost is told before the commands: a hello of the next link must find the last one gone.
    const was = before.phase.name === "live" ? before.phase.link : undefined;
    const is = model.phase.name === "live" ? model.phase.link : undefined;
    if (was !== undefined && is === undefined) this.#host.lost(was);
    for (const command of commands) this.#carryOut(command);
    if (is !== undefined && is !== was) {
      this.#dials = 0;
      this.#host.live(is);
    }
    this.#setTimer();
    if (model !== before) this.#host.changed();
  }

  #carryOut(command: Command): void {
    switch (command.type) {
      case "dial":
        this.#dials += 1;
        this.#dial(command);
        break;
      case "hello":
        this.send(command.attempt, {
          request: this.nextRequest(),
          body: { case: "hello", value: this.#host.hello(command.attempt) },
        });
        break;
      case "hangUp":
        this.#hangUp(command.attempt);
        break;
      case "ping":
        this.send(command.attempt, {
          request: this.nextRequest(),
          body: { case: "ping", value: { nonce: command.nonce } },
        });
        this.#host.pinged(command.attempt);
        break;
      case "settle":
        // Twice, so that whatever was queued when the timer ran is read before the path is judged.
        this.#world.clock.after(0, () =>
          this.#world.clock.after(0, () => this.dispatch({ type: "settled" })),
        );
        break;
    }
  }

  #hangUp(link: number): void {
    this.#links.get(link)?.close();
    this.#links.delete(link);
  }

  #dial(command: Extract<Command, { type: "dial" }>): void {
    const { attempt } = command;
    const begin = (info: ConnectInfo): void => {
      // The attempt may have been given up while the answer was on its way.
      if (pendingOf(this.#model.phase)?.attempt?.id !== attempt || this.#lacks(attempt, info))
        return;
      const sink = this.#sink(attempt);
      const race = new Race(info, this.#world.transports, command, this.#world.clock, sink);
      this.#links.set(attempt, race);
    };
    // Where nothing can be dialled with, no answer of the gateway's would help.
    if (this.#lacks(attempt, undefined)) return;
    try {
      const info = this.#world.info(this.#dials > ASK_AGAIN_AFTER);
      if (info instanceof Promise) {
        info.then(begin).catch(() => this.dispatch({ type: "gone", attempt }));
      } else {
        begin(info);
      }
    } catch {
      this.#world.clock.after(0, () => this.dispatch({ type: "gone", attempt }));
    }
  }

  /** Whether no transport can be used, as far as is known; if so the attempt ends soon. */
  #lacks(attempt: number, info: ConnectInfo | undefined): boolean {
    const message = nothingToDialWith(this.#world.transports, info);
    if (message === undefined) return false;
    this.#world.clock.after(0, () => this.dispatch({ type: "noTransport", attempt, message }));
    return true;
  }

  #sink(attempt: number): Sink {
    const closed = (): void => {
      this.#hangUp(attempt);
      this.dispatch({ type: "gone", attempt });
    };
    const guard =
      (take: (bytes: Uint8Array) => void) =>
      (bytes: Uint8Array): void => {
        try {
          take(bytes);
        } catch (error) {
          if (!(error instanceof WireError)) throw error;
          // What cannot be understood may have been an event: only a new link makes up for it.
          closed();
        }
      };
    const frame = guard((bytes) => this.#frame(attempt, bytes, false));
    return {
      opened: () => this.dispatch({ type: "opened", attempt }),
      message: guard((bytes) => {
        const { body } = ServerMessage.decode(bytes);
        if (body?.case === "frame") this.#frame(attempt, bytes, false, body.value);
        else if (body?.case === "control") this.#control(attempt, body.value);
      }),
      frame,
      datagram: guard((bytes) => {
        for (const one of new Deframer().push(bytes)) this.#frame(attempt, one, true);
      }),
      closed,
    };
  }

  #frame(
    attempt: number,
    bytes: Uint8Array,
    byDatagram: boolean,
    frame = Frame.decode(bytes),
  ): void {
    this.#heard(attempt);
    this.#host.frame(attempt, frame, bytes.length, byDatagram);
  }

  #control(attempt: number, control: Control): void {
    const { body } = control;
    switch (body?.case) {
      case "welcome": {
        const link = this.#links.get(attempt);
        if (link?.kind === undefined) return;
        const { kind, dialledAt } = link;
        const { heartbeatMs } = body.value;
        this.dispatch({ type: "welcomed", attempt, kind, dialledAt, heartbeatMs });
        break;
      }
      case "pong":
        this.dispatch({ type: "ponged", attempt, nonce: body.value.nonce });
        return;
      case "goAway":
        this.dispatch({ type: "goAway", attempt });
        return;
      case "closing":
        this.dispatch({ type: "closing", attempt, ...body.value });
        return;
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
    if (at === this.#wakesAt && this.#callOff !== undefined) return;
    this.#callOff?.();
    this.#wakesAt = at;
    this.#callOff = undefined;
    if (at === undefined) return;
    const wait = Math.max(0, at - this.#world.clock.now());
    this.#callOff = this.#world.clock.after(wait, () => {
      this.#callOff = undefined;
      this.dispatch({ type: "tick" });
    });
  }
}

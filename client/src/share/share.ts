// One connection for all tabs of an origin, as one more transport. The tab that holds a lock leads: it has the hub, and
// the connection to the gateway. The others call it. When it goes, in whatever way, the lock goes to one of them, which
// leads from then on: their sessions find their connections lost and resume from their cursors, as after any loss.
//
//   the leader is      and is noticed by
//   closed, crashed    the browser, which gives the lock to the next in line
//   frozen, put aside  itself: it gives the lock back before it sleeps
//   hung               who calls and is seen: no answer for ANSWER_MS, and the lock is taken away
//   hidden             itself, when somebody who is seen calls and there is no connection to lose
//
// More than one leader is no harm, only one connection more.

import type { Clock } from "../session/clock.js";
import { lackOf } from "../session/lack.js";
import type {
  ConnectInfo,
  Connection,
  Plan,
  Sink,
  Transport,
  TransportKind,
} from "../transport/transport.js";
import { Closing, ServerMessage } from "../wire/session.js";
import type { Ground, Room } from "./ground.js";
import { type Dial, Hub } from "./hub.js";
import type { Shared } from "./link.js";
import { type Call, cede, Guest, serve } from "./pipe.js";

/** How long a leader may leave a call unanswered. */
export const ANSWER_MS = 750;
/** How long whoever took the lead away keeps others from doing the same: until they have heard of it. */
const SETTLE_MS = 250;

/** In the room of all tabs. */
type News =
  | { readonly type: "call"; readonly call: Call }
  | { readonly type: "leads" }
  | { readonly type: "signedOut" };

/** A tab's part in sharing. */
export class Share implements Transport {
  readonly kind = "shared";
  readonly #ground: Ground;
  readonly #transports: readonly Transport[];
  readonly #clock: Clock;
  readonly #name: string;
  readonly #seats = new Set<Seat>();
  readonly #lobby: Room;
  readonly #unhook: () => void;
  /** Gives the lead back, or the wish for it. */
  #resign: (() => void) | undefined;
  #hub: Hub | undefined;
  #ceded = false;
  #away = false;
  #closed = false;
  #signedOut = false;
  #callOffDoubt: (() => void) | undefined;

  /** Tabs with the same `name` share. */
  constructor(ground: Ground, name: string, transports: readonly Transport[], clock: Clock) {
    this.#ground = ground;
    this.#name = name;
    this.#transports = transports;
    this.#clock = clock;
    this.#lobby = ground.room(name, (news) => this.#hear(news as News));
    this.#unhook = ground.watch(
      () => this.#leave(),
      () => this.#comeBack(),
    );
    this.#campaign(false);
  }

  /** What this tab is to the others. */
  get role(): "leads" | "follows" {
    return this.leads ? "leads" : "follows";
  }

  /** Whether this tab has the connection. */
  get leads(): boolean {
    return this.#hub !== undefined;
  }

  lack(info: ConnectInfo | undefined): string | undefined {
    return lackOf(this.#transports, info);
  }

  dial(info: ConnectInfo, sink: Sink, plan: Plan): Connection {
    const seat: Seat = new Seat(sink, { info, plan }, () => this.#seats.delete(seat));
    this.#seats.add(seat);
    if (this.#signedOut) this.#ground.soon(() => this.#dismiss(seat));
    else this.#place(seat);
    return seat;
  }

  /** Ends the sessions of all tabs. */
  signOut(): void {
    this.#lobby.post({ type: "signedOut" } satisfies News);
  }

  /** Leaves for good. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unhook();
    this.#leave();
    this.#lobby.close();
  }

  #campaign(steal: boolean): void {
    this.#resign?.();
    const held = (): void => {
      this.#trust();
      this.#ceded = false;
      this.#hub = new Hub(this.#transports, this.#clock, this.#ground.soon);
      this.#lobby.post({ type: "leads" } satisfies News);
      this.#replace();
    };
    const lost = (taken: boolean): void => {
      // Where it cannot even be asked for: each tab for itself.
      if (taken) {
        this.#abdicate();
        this.#campaign(false);
      } else {
        held();
      }
    };
    this.#resign = this.#ground.lock(this.#name, steal, held, lost);
  }

  #abdicate(): void {
    const hub = this.#hub;
    this.#hub = undefined;
    hub?.close();
  }

  #hear(news: News): void {
    if (news.type === "signedOut") {
      this.#signedOut = true;
      for (const seat of [...this.#seats]) this.#dismiss(seat);
    } else if (news.type === "leads") {
      this.#trust();
      if (!this.leads) this.#replace();
    } else if (this.#hub && !this.#ceded) {
      const { call } = news;
      this.#ceded = call.visible && !this.#ground.visible && !this.#hub.ready;
      if (this.#ceded) cede(this.#ground, call);
      else serve(this.#ground, this.#hub, call);
    }
  }

  /** Somebody else leads: what stood is lost, and what waits is asked of the new one. */
  #replace(): void {
    for (const seat of [...this.#seats]) {
      if (seat.opened) seat.fail("another tab leads");
      else this.#place(seat);
    }
  }

  #place(seat: Seat): void {
    if (this.#away) return;
    const beside = [...this.#seats].find((other) => other.opened)?.relay;
    const dial = { ...seat.dial, beside };
    if (this.#hub) {
      seat.sit(this.#hub.dial(dial, seat.sink));
      return;
    }
    const pipe = `${this.#name}/${crypto.randomUUID()}`;
    const { visible } = this.#ground;
    const call = { ...dial, pipe, visible };
    const caller = {
      sink: seat.sink,
      taken: () => this.#trust(),
      lead: () => this.#campaign(true),
    };
    seat.sit(
      new Guest(this.#ground, pipe, caller, () => {
        this.#lobby.post({ type: "call", call } satisfies News);
      }),
    );
    this.#callOffDoubt ??= this.#clock.after(ANSWER_MS, () => this.#challenge());
  }

  /** A leader gave a sign of life. */
  #trust(): void {
    this.#callOffDoubt?.();
    this.#callOffDoubt = undefined;
  }

  /** Nobody answers. One tab at a time takes the lead away, and only if it has not changed hands meanwhile. */
  #challenge(): void {
    const doubt = this.#callOffDoubt;
    // Where nobody looks there is time, and a hidden page's idea of it is not good enough to judge others by.
    if (!this.#ground.visible) {
      this.#trust();
      return;
    }
    const free = this.#ground.lock(
      `${this.#name}/challenge`,
      false,
      () => {
        if (this.#callOffDoubt !== doubt || this.#away || this.leads) return free();
        this.#trust();
        if (![...this.#seats].some((seat) => !seat.opened)) return free();
        this.#campaign(true);
        this.#clock.after(SETTLE_MS, free);
      },
      () => undefined,
    );
  }

  /** The page is put aside, and a page that sleeps must not hold what others need. */
  #leave(): void {
    // What they dial instead waits until the page is back.
    const seats = [...this.#seats];
    this.#away = true;
    this.#trust();
    this.#abdicate();
    this.#resign?.();
    this.#resign = undefined;
    for (const seat of seats) seat.fail("the page was put aside");
  }

  #comeBack(): void {
    if (!this.#away) return;
    this.#away = false;
    this.#campaign(false);
    this.#replace();
  }

  /** As if the gateway had said it. */
  #dismiss(seat: Seat): void {
    const value = Closing.create({ code: "signed_out", message: "signed out in another tab" });
    const control = { request: 0, body: { case: "closing", value } } as const;
    seat.sink.message(ServerMessage.encode({ body: { case: "control", value: control } }));
  }
}

/** A connection of this tab's session, whoever carries it. */
class Seat implements Connection {
  readonly dial: Omit<Dial, "beside">;
  readonly sink: Sink;
  opened = false;
  readonly #leave: () => boolean;
  #inner: Shared | undefined;

  constructor(sink: Sink, dial: Omit<Dial, "beside">, leave: () => boolean) {
    this.dial = dial;
    this.#leave = leave;
    this.sink = {
      ...sink,
      opened: () => {
        this.opened = true;
        sink.opened();
      },
      closed: (cause) => {
        if (leave()) sink.closed(cause);
      },
    };
  }

  get relay(): number | undefined {
    return this.#inner?.relay;
  }

  get kind(): TransportKind {
    return this.#inner?.kind ?? "shared";
  }

  get tookMs(): number | undefined {
    return this.#inner?.tookMs;
  }

  /** What stood before is hung up. */
  sit(inner: Shared): void {
    this.#inner?.close();
    this.#inner = inner;
  }

  send(message: Uint8Array): void {
    this.#inner?.send(message);
  }

  fail(cause: string): void {
    this.#inner?.close();
    this.sink.closed(cause);
  }

  close(): void {
    this.#leave();
    this.#inner?.close();
  }
}

// A browser in one process: tabs with locks and rooms in common, that can be hidden, frozen, hung, and killed.

import type { Clock } from "../../src/session/clock.js";
import type { Ground } from "../../src/share/ground.js";
import type { Connection, Sink, Transport } from "../../src/transport/transport.js";

interface Request {
  readonly tab: MemoryTab;
  readonly held: () => void;
  readonly lost: (taken: boolean) => void;
  granted: boolean;
}

interface Seat {
  readonly tab: MemoryTab;
  readonly take: (message: unknown) => void;
}

/** How long a word takes from one tab to another. */
const WORD_MS = 1;

/** What the tabs have in common. */
export class MemoryBrowser {
  readonly clock: Clock;
  readonly #locks = new Map<string, Request[]>();
  readonly #rooms = new Map<string, Set<Seat>>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** A tab that dials by `transport`. */
  tab(transport: Transport): MemoryTab {
    return new MemoryTab(this, transport);
  }

  lock(
    tab: MemoryTab,
    name: string,
    steal: boolean,
    held: () => void,
    lost: (taken: boolean) => void,
  ) {
    const request: Request = { tab, held, lost, granted: false };
    const line = this.#line(name);
    const [holder] = line;
    if (steal && holder?.granted) {
      line.shift();
      this.clock.after(WORD_MS, () => holder.tab.run(() => holder.lost(true)));
    }
    if (steal) line.unshift(request);
    else line.push(request);
    this.#grant(name);
    return () => this.#drop(name, request);
  }

  room(tab: MemoryTab, name: string, take: (message: unknown) => void) {
    const seats = this.#rooms.get(name) ?? new Set();
    this.#rooms.set(name, seats);
    const own: Seat = { tab, take };
    seats.add(own);
    return {
      post: (message: unknown): void => {
        const copy = structuredClone(message);
        for (const seat of seats) {
          if (seat === own) continue;
          this.clock.after(WORD_MS, () =>
            seat.tab.run(() => {
              if (seats.has(seat)) seat.take(structuredClone(copy));
            }),
          );
        }
      },
      close: (): void => {
        seats.delete(own);
      },
    };
  }

  /** A tab is gone, and the browser tidies up behind it. */
  bury(tab: MemoryTab): void {
    for (const [name, line] of this.#locks) {
      for (const one of line.filter((request) => request.tab === tab)) this.#drop(name, one);
    }
    for (const seats of this.#rooms.values()) {
      for (const seat of seats) if (seat.tab === tab) seats.delete(seat);
    }
  }

  #line(name: string): Request[] {
    const line = this.#locks.get(name) ?? [];
    this.#locks.set(name, line);
    return line;
  }

  #drop(name: string, request: Request): void {
    const line = this.#line(name);
    const at = line.indexOf(request);
    if (at >= 0) line.splice(at, 1);
    this.#grant(name);
  }

  #grant(name: string): void {
    const [first] = this.#line(name);
    if (first === undefined || first.granted) return;
    first.granted = true;
    this.clock.after(WORD_MS, () =>
      first.tab.run(() => {
        if (this.#line(name).includes(first)) first.held();
      }),
    );
  }
}

/** One tab. */
export class MemoryTab {
  readonly #browser: MemoryBrowser;
  readonly #connections = new Set<Connection>();
  #state: "awake" | "asleep" | "dead" = "awake";
  /** What waits for it to wake. */
  #waiting: (() => void)[] = [];
  #away: (() => void) | undefined;
  #back: (() => void) | undefined;
  visible = true;

  readonly clock: Clock;
  readonly ground: Ground;
  readonly transport: Transport;

  constructor(browser: MemoryBrowser, transport: Transport) {
    this.#browser = browser;
    this.clock = {
      wall: () => 0,
      now: () => browser.clock.now(),
      after: (ms, then) => {
        let wanted = true;
        const off = browser.clock.after(ms, () =>
          this.run(() => {
            if (wanted) then();
          }),
        );
        return () => {
          wanted = false;
          off();
        };
      },
    };
    const isVisible = (): boolean => this.visible;
    this.ground = {
      lock: (name, steal, held, lost) => browser.lock(this, name, steal, held, lost),
      room: (name, take) => browser.room(this, name, take),
      soon: (work) => void this.clock.after(0, work),
      get visible() {
        return isVisible();
      },
      watch: (away, back) => {
        this.#away = away;
        this.#back = back;
        return () => {
          this.#away = undefined;
          this.#back = undefined;
        };
      },
    };
    this.transport = {
      ...transport,
      dial: (info, sink, plan) => {
        const gated = Object.fromEntries(
          Object.entries(sink).map(([name, tell]) => [
            name,
            (...what: never[]) => this.run(() => tell(...what)),
          ]),
        ) as unknown as Sink;
        const connection = transport.dial(info, gated, plan);
        this.#connections.add(connection);
        return connection;
      },
    };
  }

  get awake(): boolean {
    return this.#state === "awake";
  }

  /** Runs now, when it wakes, or never. */
  run(work: () => void): void {
    if (this.#state === "awake") work();
    else if (this.#state === "asleep") this.#waiting.push(work);
  }

  /** The browser puts it to sleep and says so. */
  freeze(): void {
    if (this.#state !== "awake") return;
    this.#away?.();
    this.#state = "asleep";
  }

  /** It does not come round to anything any more. */
  hang(): void {
    if (this.#state === "awake") this.#state = "asleep";
  }

  /** After `freeze` or `hang`. */
  wake(): void {
    if (this.#state !== "asleep") return;
    this.#state = "awake";
    this.#back?.();
    for (const work of this.#waiting.splice(0)) this.run(work);
  }

  crash(): void {
    this.#state = "dead";
    this.#browser.bury(this);
    for (const connection of this.#connections) connection.close();
  }
}

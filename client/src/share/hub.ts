// Decides which connection a tab that dials is put on: the one that stands, the one that is being opened, or a new one.
// It keeps no timers: a hidden page has slow ones, and whoever dials has a clock that runs.

import type { Clock } from "../session/clock.js";
import { WATCHDOG_MS } from "../session/model.js";
import { race } from "../session/race.js";
import type { ConnectInfo, Plan, Sink, Transport } from "../transport/transport.js";
import type { Link } from "./link.js";
import { Relay } from "./relay.js";

/** Who dials again while the carrier has been silent for so long has found it dead. A tab's own watchdog is not exact. */
const DEAD_MS = 0.9 * WATCHDOG_MS;

/** What a tab wants to be connected to. */
export interface Dial {
  readonly info: ConnectInfo;
  readonly plan: Plan;
  /** The relay that the tab is on while it wants another one: its network has changed, or the like. */
  readonly beside: number | undefined;
}

/** The connections of one browser. */
export class Hub {
  readonly #transports: readonly Transport[];
  readonly #clock: Clock;
  readonly #soon: (work: () => void) => void;
  readonly #relays = new Set<Relay>();
  /** The one to join. */
  #current: Relay | undefined;
  #numbers = 0;
  /** Whose attempt the pending one is. */
  #opener: Link | undefined;

  /** `soon` runs work after this turn, also in a hidden page. */
  constructor(transports: readonly Transport[], clock: Clock, soon: (work: () => void) => void) {
    this.#transports = transports;
    this.#clock = clock;
    this.#soon = soon;
  }

  /** Whether a tab that dials is connected at once. */
  get ready(): boolean {
    return !!this.#current?.opened && this.#current.silentMs() < DEAD_MS;
  }

  /** Connects a tab. Nothing is told before this has returned. */
  dial({ info, plan, beside }: Dial, sink: Sink): Link {
    if (this.#current?.opened && !this.ready) this.#current.close("silent");
    // Those who are on it stay until they have what they dial.
    if (this.#current?.opened && this.#current.number === beside) this.#current = undefined;
    const relay = this.#current ?? this.#relay();
    const link = relay.join(sink);
    if (relay.opened) {
      this.#soon(() => {
        if (relay.has(link)) sink.opened();
      });
    } else if (!relay.has(this.#opener)) {
      // Whose attempt it was has given it up: its packets may wait for a timer that has backed off.
      this.#opener = link;
      relay.carry(race(info, this.#transports, plan, this.#clock, relay.sink));
    }
    return link;
  }

  /** Hangs up on everybody. */
  close(): void {
    for (const relay of [...this.#relays]) relay.close("the tab that held the connection left");
  }

  #relay(): Relay {
    const leaving = (): void => {
      if (this.#current === relay) this.#current = undefined;
    };
    const relay = new Relay(++this.#numbers, {
      now: () => this.#clock.now(),
      leaving,
      over: () => {
        leaving();
        this.#relays.delete(relay);
      },
    });
    this.#relays.add(relay);
    this.#current = relay;
    return relay;
  }
}

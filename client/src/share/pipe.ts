// A connection from one tab to the tab that holds the gateway's: a room for two, with a bound on what waits in it.

import type { Sink, TransportKind } from "../transport/transport.js";
import type { Ground, Room } from "./ground.js";
import type { Dial, Hub } from "./hub.js";
import type { Shared } from "./link.js";

/** So many bytes may be on their way to a tab. One that does not read them is hung up on; its cursors bring the rest. */
export const UNREAD_BYTES_MAX = 8 * 1024 * 1024;
/** How often a tab tells what it has read. */
const READ_BYTES = 64 * 1024;
/** What a message costs beside its bytes. */
const MESSAGE_BYTES = 64;

/** Asked for in the room of all tabs. */
export interface Call extends Dial {
  /** The room to talk in, and the lock that the caller holds for as long as it lives. */
  readonly pipe: string;
  /** Whether somebody looks at the caller. */
  readonly visible: boolean;
}

/** What the carrier turned out to be. */
interface Opened {
  readonly relay: number;
  readonly kind: TransportKind;
  readonly tookMs: number | undefined;
}

/** From the hub to the tab; several at once. */
type Down =
  | readonly ["taken"]
  /** Take the lead: you are seen and this tab is not, and there is no connection to lose. */
  | readonly ["lead"]
  | readonly ["opened", Opened]
  | readonly ["message" | "frame" | "datagram", Uint8Array]
  | readonly ["closed"];

/** From the tab to the hub. */
type Up = readonly ["message", Uint8Array] | readonly ["read", number] | readonly ["closed"];

const weigh = (bytes: Uint8Array): number => bytes.length + MESSAGE_BYTES;

/** Serves a tab that calls. */
export function serve(ground: Ground, hub: Hub, { pipe, ...dial }: Call): void {
  let waiting: Down[] = [];
  let unread = 0;
  let over = false;
  const flush = (): void => {
    if (waiting.length > 0) room.post(waiting);
    waiting = [];
    if (over) room.close();
  };
  const tell = (down: Down): void => {
    if (waiting.push(down) === 1) ground.soon(flush);
  };
  const end = (): void => {
    if (over) return;
    over = true;
    free();
    connection.close();
    waiting.push(["closed"]);
    // At once: the page may be about to be frozen.
    flush();
  };
  const pass =
    (kind: "message" | "frame" | "datagram") =>
    (bytes: Uint8Array): void => {
      if (unread > UNREAD_BYTES_MAX) {
        end();
        return;
      }
      unread += weigh(bytes);
      // A copy: the carrier uses its buffer again, and a view of it would take all of it along.
      tell([kind, bytes.slice()]);
    };
  const room = ground.room(pipe, (message) => {
    const [kind, what] = message as Up;
    if (kind === "message") connection.send(what);
    else if (kind === "read") unread -= what;
    else end();
  });
  // It is given when the tab dies, however that comes about.
  const free = ground.lock(pipe, false, end, () => undefined);
  tell(["taken"]);
  const connection = hub.dial(dial, {
    opened: () => {
      const { relay, kind, tookMs } = connection;
      tell(["opened", { relay, kind, tookMs }]);
    },
    message: pass("message"),
    frame: (bytes, byDatagram) => pass(byDatagram ? "datagram" : "frame")(bytes),
    closed: end,
  });
}

/** Tells a tab that calls to take the lead. */
export function cede(ground: Ground, { pipe }: Call): void {
  const room = ground.room(pipe, () => undefined);
  room.post([["lead"]] satisfies Down[]);
  room.close();
}

/** Who wants to know how a call goes. */
export interface Caller {
  readonly sink: Sink;
  /** There is a hub. */
  taken(): void;
  /** There is one that would rather not be. */
  lead(): void;
}

/** The tab's side. */
export class Guest implements Shared {
  relay: number | undefined;
  kind: TransportKind = "shared";
  tookMs: number | undefined;
  readonly #caller: Caller;
  readonly #room: Room;
  readonly #free: () => void;
  #over = false;
  #read = 0;

  /** `call` is made once the lock is held. */
  constructor(ground: Ground, pipe: string, caller: Caller, call: () => void) {
    this.#caller = caller;
    this.#room = ground.room(pipe, (message) => this.#take(message as Down[]));
    this.#free = ground.lock(pipe, false, call, () => undefined);
  }

  send(message: Uint8Array): void {
    this.#post(["message", message]);
  }

  close(): void {
    this.#post(["closed"]);
    this.#end();
  }

  #post(up: Up): void {
    if (!this.#over) this.#room.post(up);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#free();
    this.#room.close();
  }

  #take(messages: readonly Down[]): void {
    const { sink } = this.#caller;
    for (const [kind, what] of messages) {
      // Any of them may have made the owner hang up.
      if (this.#over) return;
      if (kind === "taken" || kind === "lead") {
        this.#caller[kind]();
      } else if (kind === "opened") {
        this.relay = what.relay;
        this.kind = what.kind;
        this.tookMs = what.tookMs;
        sink.opened();
      } else if (kind === "closed") {
        this.#end();
        sink.closed("closed by the tab that holds the connection");
      } else {
        this.#read += weigh(what);
        if (kind === "message") sink.message(what);
        else sink.frame(what, kind === "datagram");
      }
    }
    if (this.#read < READ_BYTES) return;
    this.#post(["read", this.#read]);
    this.#read = 0;
  }
}

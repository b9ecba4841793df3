// A fake gateway, the way to it, and time that is turned by hand: what a client of it is made of, and one.

import { type ConnectOptions, connect } from "../../src/index.js";
import { MemoryNetwork } from "../../src/transport/memory.js";
import { ManualClock, seeded } from "./clock.js";
import { FakeGateway } from "./gateway.js";

/** So long a frame of the page is, in milliseconds. */
const FRAME_MS = 16;

export const INFO = { webtransport: null, websocket: null, sse: null, protocol: "tokenway.v1" };

/** What clients of one gateway are made of. */
export function ground(seed = 1, clock = new ManualClock()) {
  const random = seeded(seed);
  const gateway = new FakeGateway(random);
  const network = new MemoryNetwork(clock, random, gateway.accept);
  const schedule = (work: () => void): void => void clock.after(FRAME_MS, work);
  const options = { info: INFO, transports: [network.transport], clock, random, schedule };
  /** One frame passes. */
  const frame = (): void => {
    gateway.tick();
    clock.advance(FRAME_MS);
  };
  const run = (ms: number): void => {
    for (let at = 0; at < ms; at += FRAME_MS) frame();
  };
  return { random, clock, gateway, network, options, frame, run };
}

/** The same, with one client. */
export function world(seed = 1, clock?: ManualClock, more: Partial<ConnectOptions> = {}) {
  const { options, ...rest } = ground(seed, clock);
  return { ...rest, client: connect({ ...options, ...more }) };
}

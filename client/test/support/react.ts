// A page of React over the memory transport, for tests of the hooks.

import { act, cleanup, screen } from "@testing-library/react";
import { createElement as h, type ReactNode, StrictMode } from "react";
import { type Client, connect } from "tokenway";
import { vi } from "vitest";
import { TokenwayProvider, useGeneration } from "../../src/react/index.js";
import { MemoryNetwork } from "../../src/transport/memory.js";
import { ManualClock, seeded } from "./clock.js";
import { FakeGateway } from "./gateway.js";

export const INFO = { webtransport: null, websocket: null, sse: null, protocol: "tokenway.v1" };

/** A gateway, a client of it, and time that is driven. */
export function world() {
  const random = seeded(7);
  const clock = new ManualClock();
  const gateway = new FakeGateway(random);
  const network = new MemoryNetwork(clock, random, gateway.accept);
  const schedule = (work: () => void): void => void clock.after(16, work);
  const client = connect({ info: INFO, transports: [network.transport], clock, random, schedule });
  const run = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 16) {
      await act(async () => {
        gateway.tick();
        clock.advance(16);
      });
    }
  };
  return { gateway, network, client, run };
}

let rendered = 0;

/** How often answers were rendered. */
export const renders = (): number => rendered;

export interface AnswerProps {
  readonly channel: string | undefined;
  readonly suspense?: boolean;
}

/** What is shown of an answer; a click stops it. */
export function Answer({ channel, suspense = false }: AnswerProps): ReactNode {
  const { state, text, stop } = useGeneration(channel, { suspense });
  rendered += 1;
  return h("p", { role: "status", onClick: () => void stop() }, `${state}: ${text}`);
}

/** What a page shows, under a client. */
export const page = (client: Client, ...children: ReactNode[]): ReactNode =>
  h(StrictMode, null, h(TokenwayProvider, { client }, ...children));

/** The answers that are shown. */
export const shown = (): string[] =>
  screen.queryAllByRole("status").map((one) => one.textContent ?? "");

/** Before each test. */
export function begin(): void {
  // Only what gives subscriptions up; React has timers of its own.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  rendered = 0;
}

/** After each test. */
export function end(): void {
  cleanup();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.useRealTimers();
}

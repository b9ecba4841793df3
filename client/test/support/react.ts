// A page of React over the memory transport, for tests of the hooks.

import { act, cleanup, screen } from "@testing-library/react";
import { createElement as h, type ReactNode, StrictMode } from "react";
import type { Client } from "tokenway";
import { vi } from "vitest";
import { TokenwayProvider, useGeneration } from "../../src/react/index.js";
import { world as turned } from "./world.js";

/** A gateway, a client of it, and time that is driven. */
export function world() {
  const made = turned(7);
  const run = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 16) await act(async () => made.frame());
  };
  return { ...made, run };
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

// @vitest-environment jsdom
// The hooks in a real React, StrictMode included, over the memory transport.

import { act, cleanup, render, screen } from "@testing-library/react";
import { createElement as h, type ReactNode, StrictMode, Suspense } from "react";
import { type Client, connect } from "tokenway";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ManualClock, seeded } from "../../test/support/clock.js";
import { FakeGateway } from "../../test/support/gateway.js";
import { MemoryNetwork } from "../transport/memory.js";
import { TokenwayProvider, useConnection, useGeneration } from "./index.js";

const INFO = { webtransport: null, websocket: null, sse: null, protocol: "tokenway.v1" };

function world() {
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
  return { gateway, client, run };
}

let renders = 0;

function Answer({ channel, suspense = false }: { channel: string; suspense?: boolean }): ReactNode {
  const { state, text, stop } = useGeneration(channel, { suspense });
  renders += 1;
  return h("p", { role: "status", onClick: () => void stop() }, `${state}: ${text}`);
}

const page = (client: Client, ...children: ReactNode[]): ReactNode =>
  h(StrictMode, null, h(TokenwayProvider, { client }, ...children));

const shown = (): string[] => screen.queryAllByRole("status").map((one) => one.textContent ?? "");

beforeEach(() => {
  // Only what gives subscriptions up; React has timers of its own.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  renders = 0;
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

describe("useGeneration", () => {
  it("follows a generation to its end", async () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("c");
    log.begin("gen_1");
    render(page(client, h(Answer, { channel: "c", key: 1 })));
    expect(shown()).toEqual(["pending: "]);
    log.say("Hel");
    await run(200);
    expect(shown()).toEqual(["running: Hel"]);
    log.say("lo");
    log.end("finished");
    await run(100);
    expect(shown()).toEqual(["finished: Hello"]);
  });

  it("shares one subscription among components, mounted twice by StrictMode", async () => {
    const { gateway, client, run } = world();
    gateway.channel("c").begin("gen_1");
    const subscribe = vi.spyOn(client, "subscribe");
    render(page(client, h(Answer, { channel: "c", key: 1 }), h(Answer, { channel: "c", key: 2 })));
    await run(100);
    expect(subscribe).toHaveBeenCalledTimes(1);
    expect(shown()).toEqual(["running: ", "running: "]);
  });

  it("renders a replay of thousands of events in a few renders", async () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("c");
    log.begin("gen_1");
    for (let word = 0; word < 5_000; word++) log.say(`${word} `);
    render(page(client, h(Answer, { channel: "c", key: 1 })));
    await run(200);
    expect(shown()[0]).toBe(`running: ${log.text()}`);
    expect(renders).toBeLessThan(12);
  });

  it("leaves the channel a moment after the last component has gone, and stops nothing", async () => {
    const { gateway, client, run } = world();
    gateway.channel("c").begin("gen_1");
    const detach = vi.spyOn(client, "detach");
    const { unmount } = render(page(client, h(Answer, { channel: "c", key: 1 })));
    await run(100);
    unmount();
    expect(detach).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1_100);
    expect(detach).toHaveBeenCalledTimes(1);
    expect(gateway.cancelled).toEqual([]);
  });

  it("stops the generation that it shows", async () => {
    const { gateway, client, run } = world();
    gateway.channel("c").begin("gen_1");
    render(page(client, h(Answer, { channel: "c", key: 1 })));
    await run(100);
    act(() => screen.getByRole("status").click());
    await run(100);
    expect(gateway.cancelled).toEqual(["c"]);
    expect(shown()).toEqual(["failed: "]);
  });

  it("suspends until the gateway has answered, if asked to", async () => {
    const { gateway, client, run } = world();
    gateway.channel("c").begin("gen_1");
    const fallback = h("b", { role: "alert" }, "wait");
    const answer = h(Answer, { channel: "c", suspense: true });
    render(page(client, h(Suspense, { fallback, key: 1 }, answer)));
    expect(screen.queryByRole("alert")).not.toBeNull();
    await run(200);
    expect(shown()).toEqual(["running: "]);
  });
});

describe("useConnection", () => {
  it("says how the session stands", async () => {
    const { client, run } = world();
    const Banner = (): ReactNode => h("p", { role: "status" }, useConnection().state);
    render(page(client, h(Banner, { key: 1 })));
    await run(100);
    expect(shown()).toEqual(["live"]);
    act(() => client.dropConnection(5_000));
    await run(32);
    expect(shown()).toEqual(["waiting"]);
  });
});

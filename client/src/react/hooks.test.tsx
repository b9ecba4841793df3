// @vitest-environment jsdom
// The hooks in a real React, StrictMode included, over the memory transport.

import { act, cleanup, render, screen } from "@testing-library/react";
import {
  createElement as h,
  type ReactNode,
  StrictMode,
  Suspense,
  startTransition,
  useState,
  version,
} from "react";
import { version as domVersion } from "react-dom";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { type Client, type ClientSnapshot, connect, type ToolCallSnapshot } from "tokenway";
import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from "vitest";
import { ManualClock, seeded } from "../../test/support/clock.js";
import { FakeGateway } from "../../test/support/gateway.js";
import { MemoryNetwork } from "../transport/memory.js";
import { ChannelEvent } from "../wire/event.js";
import {
  TokenwayProvider,
  type UseGeneration,
  useChannel,
  useConnection,
  useGeneration,
  useSmoothText,
  useTokenway,
} from "./index.js";

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
  return { gateway, network, client, run };
}

let renders = 0;

interface AnswerProps {
  readonly channel: string | undefined;
  readonly suspense?: boolean;
}

function Answer({ channel, suspense = false }: AnswerProps): ReactNode {
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
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

it("is tried with the React that is meant", () => {
  const major = (of: string): string | undefined => of.split(".")[0];
  expect([version, domVersion].map(major)).toEqual(Array(2).fill(process.env.REACT ?? "19"));
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

  it("renders for its own generation alone", async () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("c");
    log.begin("gen_1");
    log.end("finished");
    let finished = 0;
    const First = (): ReactNode => {
      finished += 1;
      return h("p", { role: "status" }, useGeneration("c", { generation: "gen_1" }).state);
    };
    render(page(client, h(First, { key: 1 })));
    await run(100);
    expect(shown()).toEqual(["finished"]);
    const before = finished;
    for (let word = 0; word < 20; word++) {
      log.events.push(ChannelEvent.create({ generation: 1, text: "more" }));
      await run(16);
    }
    expect(finished).toBe(before);
  });

  it("shows the same in the end where rendering is deferred", async () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("c");
    log.begin("gen_1");
    const Deferred = (): ReactNode =>
      h("p", { role: "status" }, useGeneration("c", { deferred: true }).text);
    render(page(client, h(Deferred, { key: 1 })));
    for (let word = 0; word < 20; word++) {
      log.say(`${word} `);
      await run(16);
    }
    await run(100);
    expect(shown()).toEqual([log.text()]);
  });

  it("looks at nothing, and then at a chat that has begun in the meantime", async () => {
    const { gateway, client, run } = world();
    const { rerender, unmount } = render(page(client, h(Answer, { channel: undefined, key: 1 })));
    await run(50);
    expect(shown()).toEqual(["pending: "]);
    rerender(page(client, h(Answer, { channel: "c", key: 1 })));
    await run(100);
    expect(shown()).toEqual(["none: "]);
    unmount();
    const log = gateway.channel("c");
    log.begin("gen_1");
    log.say("Hi");
    render(page(client, h(Answer, { channel: "c", key: 1 })));
    await run(100);
    expect(shown()).toEqual(["running: Hi"]);
  });

  it("is sent by a server as pending, and taken up from there", async () => {
    const { gateway, client, run } = world();
    const errors = vi.spyOn(console, "error");
    gateway.channel("c").begin("gen_1");
    // Somebody else on the page has it already.
    render(page(client, h(Answer, { channel: "c", key: 1 })));
    await run(100);
    cleanup();
    const answer = h(Answer, { channel: "c", key: 1 });
    const options = { info: INFO };
    const place = document.createElement("div");
    place.innerHTML = renderToString(h(TokenwayProvider, { options }, answer));
    expect(place.textContent).toBe("pending: ");
    document.body.append(place);
    const root = await act(async () => hydrateRoot(place, h(TokenwayProvider, { client }, answer)));
    await run(100);
    expect(place.textContent).toBe("running: ");
    expect(errors).not.toHaveBeenCalled();
    act(() => root.unmount());
    place.remove();
  });

  it("is typed", () => {
    expectTypeOf(useGeneration).parameter(0).toEqualTypeOf<string | undefined>();
    expectTypeOf<UseGeneration["state"]>().toEqualTypeOf<
      "pending" | "none" | "running" | "finished" | "failed"
    >();
    expectTypeOf<UseGeneration["toolCalls"]>().toEqualTypeOf<readonly ToolCallSnapshot[]>();
    expectTypeOf(useChannel).returns.toHaveProperty("snapshot");
    expectTypeOf(useConnection).returns.toEqualTypeOf<ClientSnapshot>();
    expectTypeOf(useTokenway).returns.toEqualTypeOf<Client | undefined>();
    // @ts-expect-error: a channel is named by a string
    expectTypeOf(useChannel).toBeCallableWith(42);
  });
});

describe("smooth text", () => {
  const Smooth = ({ of, text }: { of: string; text: string }): ReactNode =>
    h("p", { role: "status" }, useSmoothText(text, 200, of));

  it("flows within its bound, and shows at once what is there when it begins", async () => {
    let now = 0;
    const frames: FrameRequestCallback[] = [];
    vi.spyOn(performance, "now").mockImplementation(() => now);
    vi.stubGlobal("requestAnimationFrame", (work: FrameRequestCallback) => frames.push(work));
    vi.stubGlobal("cancelAnimationFrame", () => frames.splice(0));
    const { rerender } = render(h(Smooth, { of: "a", text: "there" }));
    expect(shown()).toEqual(["there"]);
    rerender(h(Smooth, { of: "a", text: `there${"x".repeat(100)}` }));
    expect(shown()).toEqual(["there"]);
    const lengths: number[] = [];
    while (now < 208) {
      now += 16;
      act(() => {
        for (const work of frames.splice(0)) work(now);
      });
      lengths.push((shown()[0] ?? "").length);
    }
    expect(lengths[2]).toBeGreaterThan(5);
    expect(lengths[2]).toBeLessThan(60);
    expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
    expect(lengths.at(-1)).toBe(105);
    rerender(h(Smooth, { of: "b", text: "y".repeat(1_000) }));
    expect(shown()).toEqual(["y".repeat(1_000)]);
  });

  it("keeps its bound on a hidden page, which has no frames", () => {
    let now = 0;
    vi.spyOn(performance, "now").mockImplementation(() => now);
    vi.stubGlobal("requestAnimationFrame", () => 0);
    const { rerender } = render(h(Smooth, { of: "a", text: "a" }));
    rerender(h(Smooth, { of: "a", text: "abc" }));
    expect(shown()).toEqual(["a"]);
    now = 200;
    act(() => vi.advanceTimersByTime(200));
    expect(shown()).toEqual(["abc"]);
  });

  it("is still for people who asked for less motion", () => {
    vi.stubGlobal("matchMedia", () => ({ matches: true }));
    const { rerender } = render(h(Smooth, { of: "a", text: "a" }));
    rerender(h(Smooth, { of: "a", text: "abc" }));
    expect(shown()).toEqual(["abc"]);
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

describe("components", () => {
  it("follow a channel again that had ended, once somebody asks", async () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("c");
    log.begin("gen_a");
    log.say("first");
    log.end("finished");
    let retry: () => void = () => undefined;
    function Retry(): ReactNode {
      ({ retry } = useChannel("c"));
      return null;
    }
    render(page(client, h(Answer, { channel: "c" }), h(Retry)));
    await run(200);
    expect(shown()).toEqual(["finished: first"]);
    // It is watched, and expires all the same.
    gateway.evict("c");
    await run(100);
    retry();
    await run(100);
    expect(shown()).toEqual(["none: "]);
    const again = gateway.channel("c", "00000002");
    again.begin("gen_b");
    again.say("second");
    // Whoever comes new asks again for all.
    render(page(client, h(Answer, { channel: "c" })));
    await run(200);
    expect(shown()).toEqual(["running: second", "running: second"]);
  });

  it("show the first answer of a chat that they looked at before it began, once it is asked for", async () => {
    const { gateway, client, run } = world();
    let seen: UseGeneration | undefined;
    function Chat(): ReactNode {
      seen = useGeneration("new", { smooth: true });
      return h("p", { role: "status" }, `${seen.state}: ${seen.text}`);
    }
    render(page(client, h(Chat)));
    await run(200);
    expect(shown()).toEqual(["none: "]);
    expect(seen?.error?.code).toBe("channel_not_found");
    seen?.retry();
    await run(200);
    expect(shown(), "nothing has begun yet").toEqual(["none: "]);
    const log = gateway.channel("new");
    log.begin("gen_a");
    log.say("Hello");
    seen?.retry();
    await run(2_000);
    expect(shown()).toEqual(["running: Hello"]);
    expect(seen?.error).toBeUndefined();
  });

  it("suspend for as long as it takes", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { gateway, client, network, run } = world();
    gateway.channel("c").say("late");
    network.weather.silent = true;
    const fallback = h("i", { role: "status" }, "waiting");
    const asking = h(Answer, { channel: "c", suspense: true });
    render(page(client, h(Suspense, { fallback }, asking)));
    await run(100);
    expect(shown()).toEqual(["waiting"]);
    // Whoever suspends may never come back: it is let go of, and asked for again.
    await act(async () => vi.advanceTimersByTime(31_000));
    await run(100);
    network.weather.silent = false;
    await run(6_000);
    expect(shown()).toEqual(["running: late"]);
    vi.useRealTimers();
  });

  describe("that suspend and are not shown in the end leave nothing behind", () => {
    const asking = h(Answer, { channel: "c", suspense: true });
    const fallback = h("i", { role: "status" }, "waiting");

    /** Nothing is followed, and nothing waits to be done; whoever comes then begins anew. */
    async function expectNothing({ gateway, client, run }: ReturnType<typeof world>) {
      await act(async () => vi.advanceTimersByTime(31_000));
      await run(100);
      expect(gateway.readers).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
      expect(gateway.cancelled).toEqual([]);
      const subscribe = vi.spyOn(client, "subscribe");
      render(page(client, h(Answer, { channel: "c", key: 1 })));
      await run(200);
      expect(subscribe).toHaveBeenCalledTimes(1);
      expect(shown()).toEqual(["running: there"]);
    }

    function begun() {
      const one = world();
      const log = one.gateway.channel("c");
      log.begin("gen_1");
      log.say("there");
      return one;
    }

    it("unmounted before the gateway has answered", async () => {
      const one = begun();
      one.network.weather.refusing = true;
      const { unmount } = render(page(one.client, h(Suspense, { fallback }, asking)));
      await one.run(500);
      expect(shown()).toEqual(["waiting"]);
      unmount();
      one.network.weather.refusing = false;
      await one.run(6_000);
      expect(one.gateway.readers).toBe(1);
      await expectNothing(one);
    });

    it("answered, with another beside them that never is", async () => {
      const one = begun();
      const never = new Promise<void>(() => undefined);
      const Never = (): ReactNode => {
        throw never;
      };
      const { unmount } = render(page(one.client, h(Suspense, { fallback }, asking, h(Never))));
      await one.run(500);
      expect(shown()).toEqual(["waiting"]);
      expect(one.gateway.readers).toBe(1);
      unmount();
      await expectNothing(one);
    });

    it("answered already by another component's subscription, and given up with it", async () => {
      const one = begun();
      const never = new Promise<void>(() => undefined);
      const Never = (): ReactNode => {
        throw never;
      };
      const open = h(Answer, { channel: "c", key: 1 });
      const { rerender, unmount } = render(page(one.client, open));
      await one.run(200);
      rerender(page(one.client, open, h(Suspense, { fallback, key: 2 }, asking, h(Never))));
      await one.run(200);
      rerender(page(one.client, h(Suspense, { fallback, key: 2 }, asking, h(Never))));
      await one.run(200);
      unmount();
      await expectNothing(one);
    });

    it("in a transition that something else takes the place of", async () => {
      const one = begun();
      const tab = (name: string): ReactNode =>
        name === "answer" ? asking : h("p", { role: "status" }, name);
      let open: (name: string) => void = () => undefined;
      function Tabs(): ReactNode {
        const [name, setName] = useState("first");
        open = setName;
        return h(Suspense, { fallback }, tab(name));
      }
      one.network.weather.refusing = true;
      const { unmount } = render(page(one.client, h(Tabs)));
      await act(async () => startTransition(() => open("answer")));
      // The old one stays while the new one waits.
      expect(shown()).toEqual(["first"]);
      await act(async () => open("second"));
      expect(shown()).toEqual(["second"]);
      one.network.weather.refusing = false;
      await one.run(6_000);
      expect(one.gateway.readers).toBe(1);
      expect(shown()).toEqual(["second"]);
      unmount();
      await expectNothing(one);
    });
  });

  it("stop the generation that they name, known or not", async () => {
    const { gateway, client, run } = world();
    gateway.channel("c").begin("gen_a");
    const asked: (string | undefined)[] = [];
    client.cancel = async (_, generation) => void asked.push(generation);
    function Stop(): ReactNode {
      const { stop } = useGeneration("c", { generation: "gen_b" });
      return h("button", { onClick: () => void stop(), type: "button" });
    }
    render(page(client, h(Stop)));
    await run(200);
    act(() => screen.getByRole("button").click());
    expect(asked).toEqual(["gen_b"]);
  });
});

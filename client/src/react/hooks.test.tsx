// @vitest-environment jsdom
// The hooks in a real React, StrictMode included, over the memory transport.

import { act, cleanup, render, screen } from "@testing-library/react";
import { createElement as h, type ReactNode, version } from "react";
import { version as domVersion } from "react-dom";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import type { Client, ClientSnapshot, ToolCallSnapshot } from "tokenway";
import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from "vitest";
import { Answer, begin, end, page, renders, shown, world } from "../../test/support/react.js";
import { INFO } from "../../test/support/world.js";
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

beforeEach(begin);

afterEach(end);

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
    expect(renders()).toBeLessThan(12);
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

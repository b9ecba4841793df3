// @vitest-environment jsdom
// Components that suspend until the gateway has answered, in a real React, StrictMode included.

import { act, render, screen } from "@testing-library/react";
import { createElement as h, type ReactNode, Suspense, startTransition, useState } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Answer, begin, end, page, shown, world } from "../../test/support/react.js";

beforeEach(begin);

afterEach(end);

describe("a component that suspends", () => {
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

  it("suspends for as long as it takes", async () => {
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

  describe("that is not shown in the end leaves nothing behind", () => {
    const asking = h(Answer, { channel: "c", suspense: true });
    const fallback = h("i", { role: "status" }, "waiting");

    const never = new Promise<void>(() => undefined);
    const Never = (): ReactNode => {
      throw never;
    };

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

    it("answered, with another beside it that never is", async () => {
      const one = begun();
      const { unmount } = render(page(one.client, h(Suspense, { fallback }, asking, h(Never))));
      await one.run(500);
      expect(shown()).toEqual(["waiting"]);
      expect(one.gateway.readers).toBe(1);
      unmount();
      await expectNothing(one);
    });

    it("answered already by another component's subscription, and given up with it", async () => {
      const one = begun();
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
});

// @vitest-environment jsdom
// Rendering that takes longer than the next text does to come: a real React with its own scheduler, in real slices of
// time, and nothing that flushes it. What comes meanwhile comes at a row, and not at a time, so that a slow machine tries
// the same as a fast one.

import {
  createElement as h,
  memo,
  type ReactNode,
  startTransition,
  useLayoutEffect,
  useState,
} from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { world as turned } from "../../test/support/world.js";
import { TokenwayProvider, useGeneration } from "./index.js";

/** What is slow is so many rows of so long each; React looks up from its work every 5 ms. */
const ROWS = 60;
const ROW_MS = 1;

let place: HTMLElement;
let root: Root;

beforeEach(() => {
  place = document.createElement("div");
  document.body.append(place);
  root = createRoot(place);
});

afterEach(() => {
  root.unmount();
  place.remove();
});

/** A page that follows a generation, and what comes for it. */
function world() {
  const { gateway, client, run } = turned(7);
  const log = gateway.channel("c");
  log.begin("gen_1");
  /** One frame of the page's, with another word. */
  const frame = (): void => {
    log.say(`${log.last} `);
    run(32);
  };
  /** Until its output is all that was said. */
  const render = async (page: ReactNode): Promise<void> => {
    root.render(h(TokenwayProvider, { client }, page));
    await until(() => {
      if (place.querySelector("output")?.textContent === "") frame();
      return place.querySelector("output")?.textContent === log.text();
    });
  };
  return { log, frame, render };
}

/** Lets React work until then. */
async function until(done: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!done()) {
    if (performance.now() > deadline) throw new Error(`not within 30 s: ${place.innerHTML}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Calls `atRow` in the midst of rendering so many rows. */
function rows(atRow: (row: number) => void): ReactNode {
  const Row = ({ row }: { row: number }): ReactNode => {
    const end = performance.now() + ROW_MS;
    while (performance.now() < end);
    atRow(row);
    return null;
  };
  return Array.from({ length: ROWS }, (_, row) => h(Row, { row, key: row }));
}

describe("text that is rendered slowly", () => {
  it.each([
    [true, ["typed", "text"]],
    [false, ["text", "typed"]],
  ])("is behind what somebody types meanwhile, where deferred is %s: %s", async (deferred, wanted) => {
    const { log, frame, render } = world();
    const commits: string[] = [];
    let typing = false;
    const type = (): void => {
      const field = place.querySelector("input");
      const value = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
      value?.set?.call(field, "hello");
      field?.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const Slow = memo(({ text }: { text: string }): ReactNode => {
      useLayoutEffect(() => void commits.push("text"), [text]);
      const inTheMidst = (row: number): void => {
        if (row !== 5 || !typing) return;
        typing = false;
        setImmediate(type);
      };
      return [h("output", { key: "text" }, text), rows(inTheMidst)];
    });
    const Page = (): ReactNode => {
      const { text } = useGeneration("c", { deferred });
      const [typed, setTyped] = useState("");
      useLayoutEffect(() => void commits.push("typed"), [typed]);
      const onChange = (event: { target: { value: string } }): void => setTyped(event.target.value);
      return [h("input", { value: typed, onChange, key: "field" }), h(Slow, { text, key: "slow" })];
    };
    const shown = (): string | null | undefined => place.querySelector("output")?.textContent;
    await render(h(Page));
    commits.length = 0;
    typing = true;
    frame();
    await until(() => shown() === log.text() && commits.length === 2);
    expect(commits).toEqual(wanted);
    expect(place.querySelector("input")?.value).toBe("hello");
  });

  it("is shown all the same while more comes than can be rendered, and leaves steps out", async () => {
    const { log, frame, render } = world();
    const frames = 90;
    let left = 0;
    let shown = 0;
    const Slow = memo(({ text }: { text: string }): ReactNode => {
      useLayoutEffect(() => void shown++, [text]);
      // Six frames for each time that all rows are rendered.
      const inTheMidst = (row: number): void => {
        if (row % 10 === 5 && left-- > 0) setImmediate(frame);
      };
      return [h("output", { key: "text" }, text), rows(inTheMidst)];
    });
    const Page = (): ReactNode => h(Slow, { text: useGeneration("c", { deferred: true }).text });
    await render(h(Page));
    shown = 0;
    left = frames;
    frame();
    await until(() => left <= 0);
    // All of that while it came; a rendering is begun anew once at most.
    expect(shown).toBeGreaterThanOrEqual(5);
    expect(shown).toBeLessThan(frames / 2);
    await until(() => place.querySelector("output")?.textContent === log.text());
  });

  it.each([
    [true, "those that were there"],
    [false, "those that a transition brings, too"],
  ])("is the same in all components, where deferred is %s: %s", async (deferred) => {
    const { log, frame, render } = world();
    let left = 0;
    const torn: string[][] = [];
    let commits = 0;
    const outputs = (): string[] =>
      [...place.querySelectorAll("output")].map((one) => one.textContent ?? "");
    const Text = (): ReactNode => {
      const { text } = useGeneration("c", { deferred });
      useLayoutEffect(() => {
        commits += 1;
        if (new Set(outputs()).size > 1) torn.push(outputs());
      });
      return h("output", null, text);
    };
    const inTheMidst = (row: number): void => {
      if (row % 10 === 5 && left-- > 0) setImmediate(frame);
    };
    const Slow = (): ReactNode => {
      // It renders with the text, so that what comes has something to come in the midst of.
      useGeneration("c", { deferred });
      return [h(Text, { key: 1 }), rows(inTheMidst), h(Text, { key: 2 })];
    };
    let open: () => void = () => undefined;
    const Page = (): ReactNode => {
      const [isOpen, setOpen] = useState(deferred);
      open = () => setOpen(true);
      return [h(Text, { key: "text" }), isOpen && h(Slow, { key: "slow" })];
    };
    await render(h(Page));
    commits = 0;
    left = 24;
    if (deferred) frame();
    else startTransition(() => open());
    await until(() => left <= 0 && outputs().length === 3);
    await until(() => outputs().every((text) => text === log.text()));
    expect(commits).toBeGreaterThan(5);
    expect(torn).toEqual([]);
  });
});

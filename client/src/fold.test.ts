import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Fold } from "./fold.js";
import { TextBuffer } from "./text.js";
import { ChannelEvent, type Media, Started } from "./wire/event.js";
import { Snapshot } from "./wire/frame.js";

const text = (delta: string, generation = 0): ChannelEvent =>
  ChannelEvent.create({ text: delta, generation });
const kind = (value: ChannelEvent["kind"], more: Partial<ChannelEvent> = {}): ChannelEvent =>
  ChannelEvent.create({ kind: value, ...more });

function folded(...events: readonly ChannelEvent[]) {
  const fold = new Fold();
  events.forEach((event, at) => {
    fold.apply(at + 1, event);
  });
  return fold.commit();
}

describe("the fold", () => {
  it("names a generation once it says something, and not before", () => {
    const fold = new Fold();
    const started = Started.create({ id: "gen_1" });
    fold.introduce(0, Started.create({ id: "gen_0" }));
    fold.introduce(1, started);
    expect(fold.commit().generations).toEqual([]);
    fold.apply(9, text("on", 1));
    // The other one may have ended long before this subscription began.
    expect(fold.commit().generations.map((one) => one.started)).toEqual([started]);
    // Its name may also come after its first words.
    fold.apply(10, text("early", 2));
    fold.introduce(2, Started.create({ id: "gen_2" }));
    expect(fold.commit().generations[1]?.started?.id).toBe("gen_2");
  });

  it("joins text, reasoning, refusals and tool arguments, each apart", () => {
    const call = { index: 0, id: "call_1", name: "look_up", runBy: "client" } as const;
    const [generation] = folded(
      kind({ case: "reasoning", value: { text: "hm", signature: "", encrypted: "" } }),
      text("a"),
      kind({ case: "toolCall", value: call }),
      kind({ case: "toolArguments", value: { index: 0, arguments: '{"q":' } }),
      text("b"),
      kind({ case: "toolArguments", value: { index: 0, arguments: "1}" } }),
      kind({ case: "refusal", value: "no" }),
      text("other", 1),
      text("second", 0),
    ).generations;
    expect(generation?.text.toString()).toBe("absecond");
    expect(generation?.reasoning.toString()).toBe("hm");
    expect(generation?.refusal.toString()).toBe("no");
    expect(generation?.toolCalls[0]).toMatchObject({ id: "call_1", name: "look_up" });
    expect(generation?.toolCalls[0]?.arguments.toString()).toBe('{"q":1}');
  });

  it("keeps several choices apart, and shows the first one flat", () => {
    const events = [text("first"), ChannelEvent.create({ text: "second", choice: 1 })];
    const [generation] = folded(...events).generations;
    expect(generation?.text.toString()).toBe("first");
    expect(generation?.choices.map((one) => one.text.toString())).toEqual(["first", "second"]);
  });

  it("tells a good end from a bad one", () => {
    const bad = { code: "upstream_cut", message: "cut", phase: "unspecified", status: 0 } as const;
    const fold = new Fold();
    fold.apply(1, text("a"));
    expect(fold.commit().generations[0]?.state).toBe("running");
    fold.apply(2, kind({ case: "failed", value: bad }));
    expect(fold.commit().generations[0]).toMatchObject({ state: "failed", failed: bad });
  });

  it("gathers the parts of a medium and the custom events", () => {
    const part = (n: number): Media => ({
      mime: "image/png",
      data: new Uint8Array([n]),
      index: 0,
      part: n,
      last: n === 1,
    });
    const data = new TextEncoder().encode('{"x":1}');
    const { generations, customs } = folded(
      kind({ case: "media", value: part(0) }),
      kind({ case: "custom", value: { type: "note", data } }),
      kind({ case: "media", value: part(1) }),
    );
    expect(generations[0]?.media).toEqual([
      {
        index: 0,
        mime: "image/png",
        parts: [new Uint8Array([0]), new Uint8Array([1])],
        complete: true,
      },
    ]);
    expect(customs).toEqual([{ seq: 2, type: "note", data: { x: 1 } }]);
  });

  it("makes nothing new of what did not change", () => {
    const fold = new Fold();
    fold.apply(1, text("a", 0));
    fold.apply(2, text("b", 1));
    const before = fold.commit();
    expect(fold.commit()).toBe(before);
    fold.apply(3, text("c", 1));
    const after = fold.commit();
    expect(after.generations[0]).toBe(before.generations[0]);
    expect(after.generations[1]).not.toBe(before.generations[1]);
    expect(before.generations[1]?.text.toString()).toBe("b");
  });

  it("forgets everything for a snapshot", () => {
    const fold = new Fold();
    fold.apply(1, text("gone"));
    const choices = [
      {
        choice: 0,
        text: "now",
        reasoning: "",
        refusal: "",
        toolCalls: [],
        sealed: [],
        finished: undefined,
      },
    ];
    fold.replace(
      Snapshot.create({
        generations: [
          {
            index: 0,
            started: undefined,
            state: "running",
            choices,
            citations: [],
            media: [],
            usage: undefined,
            finished: undefined,
            failed: undefined,
            evicted: false,
          },
        ],
      }),
    );
    fold.apply(9, text("!"));
    expect(fold.commit().generations[0]?.text.toString()).toBe("now!");
  });
});

describe("growing text", () => {
  it("shows each view what it was made of, and any tail of it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "binary" }), { maxLength: 20 }),
        fc.nat(40),
        (parts, at) => {
          const buffer = new TextBuffer();
          const views = parts.map((part) => {
            buffer.append(part);
            return buffer.view();
          });
          // The last first: an older view must not be disturbed by what was joined for a newer one.
          for (let n = parts.length - 1; n >= 0; n--) {
            const whole = parts.slice(0, n + 1).join("");
            expect(views[n]?.after(at)).toBe(whole.slice(at));
            expect(views[n]?.toString()).toBe(whole);
            expect(views[n]).toHaveLength(whole.length);
          }
        },
      ),
    );
  });

  it("costs no more per delta at the end of a long text than at its beginning", () => {
    const buffer = new TextBuffer();
    for (let at = 0; at < 200_000; at++) buffer.append("word ");
    let read = 0;
    for (let at = 0; at < 200_000; at++) {
      const before = buffer.view().length;
      buffer.append("more ");
      read += buffer.view().after(before).length;
    }
    expect(read).toBe(1_000_000);
  });
});

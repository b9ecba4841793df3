// Answers of several kinds of parts, and what the AI SDK's messages show of them.

import type { UIMessage } from "ai";
import { expect } from "vitest";
import { ChannelEvent } from "../../src/wire/event.js";

type Kind = NonNullable<ChannelEvent["kind"]>;
export type Part = UIMessage["parts"][number];

/** The parts of the one answer that there is. */
export function partsOf(messages: readonly UIMessage[]): readonly Part[] {
  const answers = messages.filter(({ role }) => role === "assistant");
  expect(answers).toHaveLength(1);
  return answers[0]?.parts ?? [];
}

/** What parts say together, whatever pieces it is in: nothing that is here twice can be overlooked. */
export function gathered(parts: readonly Part[]) {
  const said = (type: "text" | "reasoning"): string =>
    parts.map((part) => (part.type === type ? part.text : "")).join("");
  const others = parts.filter(({ type }) => type !== "text" && type !== "reasoning");
  const name = (part: Part): string => JSON.stringify(part);
  return {
    text: said("text"),
    reasoning: said("reasoning"),
    others: others.map(name).sort(),
  };
}

/**
 * What a model says, in eight steps: thoughts, words, sources, and two tool calls in pieces; kind by kind, or mixed, as
 * providers do that think between their words.
 */
export function scene(random: () => number, inTurn: boolean): ChannelEvent[][] {
  const data = (at: number) =>
    new TextEncoder().encode(JSON.stringify({ url: `https://a.example/${at}`, title: `${at}` }));
  const event = (kind: Kind) => ChannelEvent.create({ kind });
  const thought = (at: number) =>
    event({ case: "reasoning", value: { text: ` hm${at}`, signature: "", encrypted: "" } });
  const word = (at: number) => ChannelEvent.create({ text: ` ${at}` });
  const source = (at: number) => event({ case: "citation", value: { data: data(at) } });
  const call = (index: number, name: string) =>
    event({ case: "toolCall", value: { index, id: `call_${index}`, name, runBy: "client" } });
  const piece = (index: number, fragment: string) =>
    event({ case: "toolArguments", value: { index, arguments: fragment } });
  const tool = (index: number, name: string) => [
    call(index, name),
    ...['{"of', '":[1', `,${index}`, "]}"].map((fragment) => piece(index, fragment)),
  ];
  const numbers = Array.from({ length: 8 }, (_, at) => at);
  const strands = [
    numbers.map(thought),
    numbers.map(word),
    [0, 1].map(source),
    [...tool(0, "add"), ...tool(1, "find")],
  ];
  const all: ChannelEvent[] = [];
  while (strands.some((strand) => strand.length > 0)) {
    const left = strands.filter((strand) => strand.length > 0);
    const from = inTurn ? left[0] : left[Math.floor(random() * left.length)];
    all.push(...(from?.splice(0, 1) ?? []));
  }
  const step = Math.ceil(all.length / 8);
  return numbers.map((at) => all.slice(at * step, (at + 1) * step));
}

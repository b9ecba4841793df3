// The AI SDK's own `Chat` (what `useChat` holds) over our transport, against a faulty gateway, in time turned by hand;
// each of the SDK's versions that we say we work with.

import { Chat as Chat6 } from "@ai-sdk/react";
import type { UIMessage } from "ai";
import { Chat as Chat7 } from "ai-sdk-react4";
import { connect } from "tokenway";
import { describe, expect, it } from "vitest";
import { ManualClock, seeded } from "../../test/support/clock.js";
import { FakeGateway, type Log } from "../../test/support/gateway.js";
import { MemoryNetwork } from "../transport/memory.js";
import { ChannelEvent, Failed } from "../wire/event.js";
import { type Place, TokenwayChatTransport } from "./index.js";

const VERSIONS = [
  ["6", (init) => new Chat6(init)],
  ["7", (init) => new Chat7(init)],
] as const satisfies readonly (readonly [string, (init: Init) => unknown])[];
type Init = ConstructorParameters<typeof Chat6<UIMessage>>[0] &
  ConstructorParameters<typeof Chat7<UIMessage>>[0];
type Make = (typeof VERSIONS)[number][1];

type Kind = NonNullable<ChannelEvent["kind"]>;

/** Cuts in each version. */
const CUTS = process.env.TOKENWAY_SOAK ? 10_000 : 1_000;

const INFO = { webtransport: null, websocket: null, sse: null, protocol: "tokenway.v1" };

function world(make: Make, seed: number) {
  const random = seeded(seed);
  const clock = new ManualClock();
  const gateway = new FakeGateway(random);
  const network = new MemoryNetwork(clock, random, gateway.accept);
  const schedule = (work: () => void): void => void clock.after(16, work);
  const page = (send?: () => Promise<Place>) => {
    const client = connect({
      info: INFO,
      transports: [network.transport],
      clock,
      random,
      schedule,
    });
    const transport = new TokenwayChatTransport({
      client,
      send: send ?? (async ({ chatId }) => ({ channel: chatId, generation: "gen_1" })),
    });
    return { client, chat: make({ id: "chat", transport, generateId: () => "m" }) };
  };
  /** Lets time pass, and whoever awaits go on. */
  const run = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 16) {
      gateway.tick();
      clock.advance(16);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { random, gateway, network, page, run };
}

const answer = (messages: readonly UIMessage[]): string =>
  messages
    .filter((message) => message.role === "assistant")
    .flatMap((message) => message.parts)
    .map((part) => (part.type === "text" ? part.text : ""))
    .join("");

type Part = UIMessage["parts"][number];

/** The parts of the one answer that there is. */
function partsOf(messages: readonly UIMessage[]): readonly Part[] {
  const answers = messages.filter(({ role }) => role === "assistant");
  expect(answers).toHaveLength(1);
  return answers[0]?.parts ?? [];
}

/** What parts say together, whatever pieces it is in: nothing that is here twice can be overlooked. */
function gathered(parts: readonly Part[]) {
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
function scene(random: () => number, inTurn: boolean): ChannelEvent[][] {
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

/** The same answer on a page to which nothing happens. */
async function uncut(make: Make, events: readonly ChannelEvent[]): Promise<readonly Part[]> {
  const one = world(make, 0);
  const { log, chat, client, sent } = await asked(one, []);
  for (const event of events.slice(log.last)) {
    log.events.push(event);
    await one.run(16);
  }
  await one.run(50);
  await sent;
  client.close();
  return partsOf(chat.messages);
}

/** A question that was asked and is being answered. */
async function asked(one: ReturnType<typeof world>, words: readonly string[]) {
  const log: Log = one.gateway.channel("chat");
  log.begin("gen_1");
  const { chat, client } = one.page();
  const sent = chat.sendMessage({ text: "Hi" });
  for (const word of words) {
    log.say(word);
    await one.run(32);
  }
  return { log, chat, client, sent };
}

describe.each(VERSIONS)("stock useChat of version %s", (_, make) => {
  it("reads an answer to its end", async () => {
    const one = world(make, 1);
    const { log, chat, sent } = await asked(one, ["Hel", "lo"]);
    log.end("finished");
    await one.run(200);
    await sent;
    expect(answer(chat.messages)).toBe("Hello");
    expect(chat.status).toBe("ready");
  });

  it("shows every part once, whatever is cut and however often the page is loaded anew", async () => {
    let cuts = 0;
    const seed = Number(process.env.TOKENWAY_SEED ?? Date.now() % 1_000_000);
    const shownKinds = new Set<string>();
    for (let trial = seed; cuts < CUTS; trial++) {
      const one = world(make, trial);
      one.network.weather.latencyMs = [1, 40];
      one.gateway.faults.repeat = 0.1;
      const { log, chat, client } = await asked(one, []);
      const inTurn = one.random() < 0.5;
      const steps = scene(one.random, inTurn);
      let now = { chat, client };
      for (const step of steps) {
        log.events.push(...step);
        // Who is behind now goes on from a snapshot.
        if (one.random() < 0.3) log.trimmed = log.last;
        cuts += 1;
        const dice = one.random();
        if (dice < 0.3) one.network.cut();
        else if (dice < 0.6) now.client.dropConnection(one.random() * 100);
        else {
          // A reload: the messages before the answer are the app's to keep.
          const kept = now.chat.messages.filter((message) => message.role === "user");
          now.client.close();
          now = one.page();
          now.chat.messages = kept;
          void now.chat.resumeStream();
        }
        await one.run(one.random() * 120);
      }
      // What has ended before a page asks is not to be resumed: the app has it among its messages by then.
      await one.run(1_000);
      log.end("finished");
      await one.run(1_000);
      const what = `TOKENWAY_SEED=${trial}`;
      expect(now.chat.status, what).toBe("ready");
      const shown = partsOf(now.chat.messages);
      const whole = await uncut(make, log.events);
      expect(gathered(shown), what).toEqual(gathered(whole));
      // A resume has everything of a kind in one piece, so that only what came kind by kind has the same parts.
      if (inTurn) expect(shown, what).toEqual(whole);
      expect(gathered(shown), what).toMatchObject({ text: log.text() });
      for (const { type } of shown) shownKinds.add(type);
      now.client.close();
    }
    expect([...shownKinds].sort()).toEqual([
      "reasoning",
      "source-url",
      "step-start",
      "text",
      "tool-add",
      "tool-find",
    ]);
  }, 240_000);

  it("stops for good, also after a resume", async () => {
    const one = world(make, 3);
    const { client, log } = await asked(one, ["Hel"]);
    client.close();
    const again = one.page();
    const resumed = again.chat.resumeStream();
    await one.run(200);
    expect(answer(again.chat.messages)).toBe("Hel");
    const stopped = again.chat.stop();
    await one.run(400);
    await Promise.all([resumed, stopped]);
    expect(one.gateway.cancelled).toEqual(["chat"]);
    expect(log.events.at(-1)?.kind?.case).toBe("failed");
    expect(again.chat.status).toBe("ready");
  });

  it("stops nothing by going away", async () => {
    const one = world(make, 4);
    const { client } = await asked(one, ["Hel"]);
    client.close();
    await one.run(500);
    expect(one.gateway.cancelled).toEqual([]);
  });

  it("finds nothing to resume where nothing runs", async () => {
    const one = world(make, 5);
    const { chat } = one.page();
    const resumed = chat.resumeStream();
    await one.run(200);
    await resumed;
    expect(chat.status).toBe("ready");
    expect(chat.messages).toEqual([]);
  });

  it("is followed by two tabs alike", async () => {
    const one = world(make, 6);
    const { log, chat } = await asked(one, ["Hel"]);
    const other = one.page();
    void other.chat.resumeStream();
    await one.run(100);
    log.say("lo");
    log.end("finished");
    await one.run(300);
    expect(answer(chat.messages)).toBe("Hello");
    expect(answer(other.chat.messages)).toBe("Hello");
  });

  it("stops what the server began after it was stopped", async () => {
    const one = world(make, 7);
    const log = one.gateway.channel("chat");
    let answered: (place: Place) => void = () => undefined;
    const asking = new Promise<Place>((resolve) => {
      answered = resolve;
    });
    const { chat } = one.page(() => asking);
    const sent = chat.sendMessage({ text: "Hi" });
    await one.run(50);
    const stopped = chat.stop();
    await one.run(50);
    await Promise.all([sent, stopped]);
    expect(chat.status).toBe("ready");
    log.begin("gen_1");
    answered({ channel: "chat", generation: "gen_1" });
    await one.run(100);
    expect(one.gateway.cancelled).toEqual(["chat"]);
  });

  it("stops nothing by resuming twice", async () => {
    const one = world(make, 8);
    const { log, client } = await asked(one, ["Hel"]);
    client.close();
    const { chat } = one.page();
    void chat.resumeStream();
    await one.run(100);
    void chat.resumeStream();
    await one.run(100);
    log.say("lo");
    log.end("finished");
    await one.run(200);
    expect(one.gateway.cancelled).toEqual([]);
    expect(answer(chat.messages)).toBe("Hello");
    expect(chat.messages.filter(({ role }) => role === "assistant")).toHaveLength(1);
  });

  describe("while a resume waits for the gateway", () => {
    /** A page that wants to go on with what runs, on a network that is away. */
    function waiting(seed: number) {
      const one = world(make, seed);
      const log = one.gateway.channel("chat");
      log.begin("gen_1");
      log.say("Hel");
      one.network.weather.refusing = true;
      const { chat, client } = one.page();
      const back = async (): Promise<void> => {
        one.network.weather.refusing = false;
        await one.run(6_000);
      };
      return { ...one, log, chat, client, back, resumed: chat.resumeStream() };
    }

    it("is stopped at once, and so is what runs once it can be told", async () => {
      const { gateway, log, chat, run, back, resumed } = waiting(21);
      await run(500);
      const stopped = chat.stop();
      await run(16);
      // Nobody has answered yet.
      await Promise.all([resumed, stopped]);
      expect(chat.status).toBe("ready");
      expect(gateway.cancelled).toEqual([]);
      await back();
      expect(gateway.cancelled).toEqual(["chat"]);
      expect(log.events.at(-1)?.kind?.case).toBe("failed");
      expect(gateway.readers).toBe(0);
      expect(chat.messages).toEqual([]);
    });

    it("is stopped for good, though the chat is resumed again before anybody answers", async () => {
      const { gateway, log, chat, run, back, resumed } = waiting(22);
      await run(500);
      await Promise.all([chat.stop(), resumed, run(16)]);
      const again = chat.resumeStream();
      await back();
      expect(gateway.cancelled).toEqual(["chat"]);
      expect(log.events.at(-1)?.kind?.case).toBe("failed");
      await again;
      expect(chat.status).toBe("ready");
      expect(gateway.readers).toBe(0);
    });

    it("stops nothing by being resumed again, and leaves the first one's place", async () => {
      const { gateway, log, chat, run, back, resumed } = waiting(23);
      await run(500);
      const again = chat.resumeStream();
      await back();
      await resumed;
      expect(gateway.readers).toBe(1);
      log.say("lo");
      log.end("finished");
      await run(200);
      await again;
      expect(gateway.cancelled).toEqual([]);
      expect(gateway.readers).toBe(0);
      expect(answer(chat.messages)).toBe("Hello");
    });

    it("stops nothing where nothing runs any more", async () => {
      const { gateway, log, chat, run, back, resumed } = waiting(24);
      await run(500);
      await Promise.all([chat.stop(), resumed, run(16)]);
      log.end("finished");
      await back();
      expect(gateway.cancelled).toEqual([]);
      expect(gateway.readers).toBe(0);
    });

    it("waits no longer than the session lasts", async () => {
      const { gateway, chat, client, run, resumed } = waiting(25);
      await run(500);
      client.close();
      await run(100);
      await resumed;
      expect(chat.status).toBe("ready");
      expect(gateway.cancelled).toEqual([]);
    });
  });

  it("has every part of the SDK's that there is something for", async () => {
    const one = world(make, 9);
    const { log, chat, sent } = await asked(one, []);
    await one.run(100);
    const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
    const kinds: NonNullable<ChannelEvent["kind"]>[] = [
      { case: "reasoning", value: { text: "hm", signature: "", encrypted: "" } },
      { case: "toolCall", value: { index: 0, id: "call_1", name: "add", runBy: "client" } },
      { case: "toolArguments", value: { index: 0, arguments: '{"a":' } },
      { case: "toolArguments", value: { index: 0, arguments: "1}" } },
      { case: "citation", value: { data: bytes({ url: "https://a.example", title: "A" }) } },
      { case: "citation", value: { data: bytes({ type: "page_location", document_title: "B" }) } },
      {
        case: "media",
        value: { index: 0, part: 0, last: true, mime: "image/png", data: Uint8Array.of(1, 2, 3) },
      },
    ];
    const usage = { ...USAGE, input: 3, output: 4 };
    for (const kind of [...kinds, { case: "usage", value: usage } as const]) {
      log.events.push(ChannelEvent.create({ kind }));
    }
    log.say("Hello");
    log.end("finished");
    await one.run(300);
    await sent;
    const parts = chat.messages.at(-1)?.parts.map((part) => ({ ...part, providerMetadata: 0 }));
    expect(parts).toMatchObject([
      { type: "step-start" },
      { type: "reasoning", text: "hm", state: "done" },
      { type: "tool-add", toolCallId: "call_1", state: "input-available", input: { a: 1 } },
      { type: "source-url", url: "https://a.example", title: "A" },
      { type: "source-document", title: "B", mediaType: "application/pdf" },
      { type: "file", mediaType: "image/png", url: "data:image/png;base64,AQID" },
      { type: "text", text: "Hello", state: "done" },
    ]);
    expect(chat.messages.at(-1)?.metadata).toMatchObject({
      tokenway: { generation: "gen_1", usage: { inputTokens: 3, outputTokens: 4, totalTokens: 7 } },
    });
  });

  it("tells a failure as an error, and offers no tool call of it for running", async () => {
    const one = world(make, 10);
    const { log, chat, sent } = await asked(one, ["Hel"]);
    const call = { index: 0, id: "call_1", name: "add", runBy: "client" } as const;
    log.events.push(ChannelEvent.create({ kind: { case: "toolCall", value: call } }));
    const failed = Failed.create({ code: "upstream_cut", message: "the provider went away" });
    log.events.push(ChannelEvent.create({ kind: { case: "failed", value: failed } }));
    await one.run(300);
    await sent;
    expect(chat.status).toBe("error");
    expect(chat.error?.message).toBe("the provider went away");
    expect(chat.messages.at(-1)?.parts.at(-1)).toMatchObject({ state: "output-error" });
  });

  it("adds what follows a tool's answer to the message that called it", async () => {
    const one = world(make, 11);
    const [calling, answering] = [one.gateway.channel("calling"), one.gateway.channel("answering")];
    const places = [
      { channel: "calling", generation: "gen_1" },
      { channel: "answering", generation: "gen_2" },
    ];
    const { chat } = one.page(async () => places.shift() ?? { channel: "", generation: "" });
    calling.begin("gen_1");
    const call = { index: 0, id: "call_1", name: "add", runBy: "client" } as const;
    calling.events.push(ChannelEvent.create({ kind: { case: "toolCall", value: call } }));
    calling.end("finished");
    void chat.sendMessage({ text: "Add" });
    await one.run(200);
    await chat.addToolOutput({ tool: "add", toolCallId: "call_1", output: 3 } as never);
    answering.begin("gen_2");
    void chat.sendMessage();
    answering.say("It is 3");
    answering.end("finished");
    await one.run(300);
    expect(chat.messages.map(({ role, id }) => [role, id])).toEqual([
      ["user", "m"],
      ["assistant", "gen_1"],
    ]);
    expect(answer(chat.messages)).toBe("It is 3");
  });

  it("does not go on from words that were lost, and has what is left after a resume", async () => {
    const one = world(make, 12);
    const { log, chat, sent } = await asked(one, ["Hel", "lo"]);
    await one.run(100);
    log.takeOver("00000002", 2);
    log.say("p!");
    await one.run(300);
    await sent;
    expect(chat.status).toBe("error");
    void chat.resumeStream();
    await one.run(200);
    log.end("finished");
    await one.run(200);
    expect(answer(chat.messages)).toBe("Help!");
    expect(chat.status).toBe("ready");
  });
});

const USAGE = {
  input: 0,
  output: 0,
  cachedInput: 0,
  cacheWrite: 0,
  reasoning: 0,
  native: new Uint8Array(),
  estimated: false,
  cost: undefined,
};

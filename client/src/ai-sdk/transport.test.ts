// The AI SDK's own `Chat` (what `useChat` holds) over our transport, against a faulty gateway, in time turned by hand;
// each of the SDK's versions that we say we work with.

import type { UIMessage } from "ai";
import { describe, expect, it } from "vitest";
import { asked, type Make, VERSIONS, world } from "../../test/support/chats.js";
import { gathered, type Part, partsOf, scene } from "../../test/support/parts.js";
import { ChannelEvent, Failed } from "../wire/event.js";
import type { Place } from "./index.js";

/** Cuts in each version. */
const CUTS = process.env.TOKENWAY_SOAK ? 10_000 : 1_000;

const answer = (messages: readonly UIMessage[]): string =>
  messages
    .filter((message) => message.role === "assistant")
    .flatMap((message) => message.parts)
    .map((part) => (part.type === "text" ? part.text : ""))
    .join("");

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

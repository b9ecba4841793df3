// The AI SDK's own `Chat` (what `useChat` holds) over our transport, against a faulty gateway, in time turned by hand.

import { Chat } from "@ai-sdk/react";
import type { UIMessage } from "ai";
import fc from "fast-check";
import { connect } from "tokenway";
import { describe, expect, it } from "vitest";
import { ManualClock, seeded } from "../../test/support/clock.js";
import { FakeGateway, type Log } from "../../test/support/gateway.js";
import { MemoryNetwork } from "../transport/memory.js";
import { TokenwayChatTransport } from "./index.js";

const INFO = { webtransport: null, websocket: null, sse: null, protocol: "tokenway.v1" };

function world(seed: number) {
  const random = seeded(seed);
  const clock = new ManualClock();
  const gateway = new FakeGateway(random);
  const network = new MemoryNetwork(clock, random, gateway.accept);
  const schedule = (work: () => void): void => void clock.after(16, work);
  const page = () => {
    const client = connect({
      info: INFO,
      transports: [network.transport],
      clock,
      random,
      schedule,
    });
    const transport = new TokenwayChatTransport({
      client,
      send: async ({ chatId }) => ({ channel: chatId, generation: "gen_1" }),
    });
    return { client, chat: new Chat({ id: "chat", transport, generateId: () => "m" }) };
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

describe("stock useChat", () => {
  it("reads an answer to its end", async () => {
    const one = world(1);
    const { log, chat, sent } = await asked(one, ["Hel", "lo"]);
    log.end("finished");
    await one.run(200);
    await sent;
    expect(answer(chat.messages)).toBe("Hello");
    expect(chat.status).toBe("ready");
  });

  it("shows every part once, whatever is cut and however often the page is loaded anew", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const one = world(seed);
        one.network.weather.latencyMs = [1, 40];
        one.gateway.faults.repeat = 0.1;
        const { log, chat, client } = await asked(one, ["Hello"]);
        let now = { chat, client };
        for (let word = 0; word < 6; word++) {
          log.say(` ${word}`);
          const dice = one.random();
          if (dice < 0.3) one.network.cut();
          else if (dice < 0.5) now.client.dropConnection(one.random() * 100);
          else if (dice < 0.7) {
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
        await one.run(2_000);
        log.end("finished");
        await one.run(3_000);
        expect(answer(now.chat.messages)).toBe(log.text());
        expect(now.chat.status).toBe("ready");
        now.client.close();
      }),
      { numRuns: Number(process.env.TOKENWAY_SOAK ? 1_000 : 170) },
    );
  }, 120_000);

  it("stops for good, also after a resume", async () => {
    const one = world(3);
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
    const one = world(4);
    const { client } = await asked(one, ["Hel"]);
    client.close();
    await one.run(500);
    expect(one.gateway.cancelled).toEqual([]);
  });

  it("finds nothing to resume where nothing runs", async () => {
    const one = world(5);
    const { chat } = one.page();
    const resumed = chat.resumeStream();
    await one.run(200);
    await resumed;
    expect(chat.status).toBe("ready");
    expect(chat.messages).toEqual([]);
  });

  it("is followed by two tabs alike", async () => {
    const one = world(6);
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
});

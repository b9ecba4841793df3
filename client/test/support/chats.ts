// The AI SDK's own `Chat` of each version over our transport, against a faulty gateway, in time turned by hand.

import { Chat as Chat6 } from "@ai-sdk/react";
import type { UIMessage } from "ai";
import { Chat as Chat7 } from "ai-sdk-react4";
import { connect } from "tokenway";
import { type Place, TokenwayChatTransport } from "../../src/ai-sdk/index.js";
import { MemoryNetwork } from "../../src/transport/memory.js";
import { ManualClock, seeded } from "./clock.js";
import { FakeGateway, type Log } from "./gateway.js";

export const VERSIONS = [
  ["6", (init) => new Chat6(init)],
  ["7", (init) => new Chat7(init)],
] as const satisfies readonly (readonly [string, (init: Init) => unknown])[];
type Init = ConstructorParameters<typeof Chat6<UIMessage>>[0] &
  ConstructorParameters<typeof Chat7<UIMessage>>[0];
export type Make = (typeof VERSIONS)[number][1];

const INFO = { webtransport: null, websocket: null, sse: null, protocol: "tokenway.v1" };

export function world(make: Make, seed: number) {
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

/** A question that was asked and is being answered. */
export async function asked(one: ReturnType<typeof world>, words: readonly string[]) {
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

// The AI SDK's own `Chat` of each version over our transport, against a faulty gateway, in time turned by hand.

import { Chat as Chat6 } from "@ai-sdk/react";
import type { UIMessage } from "ai";
import { Chat as Chat7 } from "ai-sdk-react4";
import { connect } from "tokenway";
import { type Place, TokenwayChatTransport } from "../../src/ai-sdk/index.js";
import type { Log } from "./gateway.js";
import { ground } from "./world.js";

export const VERSIONS = [
  ["6", (init) => new Chat6(init)],
  ["7", (init) => new Chat7(init)],
] as const satisfies readonly (readonly [string, (init: Init) => unknown])[];
type Init = ConstructorParameters<typeof Chat6<UIMessage>>[0] &
  ConstructorParameters<typeof Chat7<UIMessage>>[0];
export type Make = (typeof VERSIONS)[number][1];

export function world(make: Make, seed: number) {
  const { random, gateway, network, options, frame } = ground(seed);
  const page = (send?: () => Promise<Place>) => {
    const client = connect(options);
    const transport = new TokenwayChatTransport({
      client,
      send: send ?? (async ({ chatId }) => ({ channel: chatId, generation: "gen_1" })),
    });
    return { client, chat: make({ id: "chat", transport, generateId: () => "m" }) };
  };
  /** Lets time pass, and whoever awaits go on. */
  const run = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 16) {
      frame();
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

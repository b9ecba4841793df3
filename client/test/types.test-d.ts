// What the types promise. Nothing of this runs: `npm run check` compiles it.

import { type UseChatOptions as UseChatOptions6, useChat as useChat6 } from "@ai-sdk/react";
import type { UIMessage } from "ai";
import { useChat as useChat7 } from "ai-sdk-react4";
import { expectTypeOf } from "vitest";
import { TokenwayChatTransport } from "../src/ai-sdk/index.js";
import {
  AccessError,
  type Batch,
  type Channel,
  type ChannelEvent,
  type ChannelSnapshot,
  type Client,
  ConnectionError,
  type Cursor,
  connect,
  type ErrorCode,
  longpoll,
  RequestError,
  sse,
  type TextView,
  type TokenwayError,
  type Transport,
  websocket,
  webtransport,
} from "../src/index.js";
import {
  type TokenwayProviderProps,
  useChannel,
  useConnection,
  useGeneration,
  useTokenway,
} from "../src/react/index.js";

const client = connect({ url: "https://gateway.example", tokens: async () => ["token"] });
expectTypeOf(client).toEqualTypeOf<Client>();
connect({ transports: [webtransport, websocket, sse, longpoll] });
expectTypeOf(sse).toEqualTypeOf<Transport>();
// @ts-expect-error a token is a string
connect({ tokens: [1] });
// @ts-expect-error there is no such option
connect({ uri: "https://gateway.example" });

const channel = client.subscribe("chat-42", { from: { epoch: "9f3a6c1e", seq: 17 } });
expectTypeOf(channel).toEqualTypeOf<Channel>();
// @ts-expect-error it is a word or a cursor
client.subscribe("chat-42", { from: "start" });
// @ts-expect-error a cursor has an epoch
client.subscribe("chat-42", { from: { seq: 17 } });

// As a store, as `useSyncExternalStore` wants it.
expectTypeOf(channel.getSnapshot()).toEqualTypeOf<ChannelSnapshot>();
expectTypeOf(channel.subscribe).parameters.toEqualTypeOf<[listener: () => void]>();
const generation = channel.getSnapshot().generations[0];
expectTypeOf(generation?.text).toEqualTypeOf<TextView | undefined>();
// @ts-expect-error a snapshot is a value
channel.getSnapshot().seq = 1;

// As an iterable: what a batch holds follows from its kind.
export async function follow(): Promise<void> {
  for await (const batch of channel) {
    expectTypeOf(batch).toEqualTypeOf<Batch>();
    if (batch.kind === "events") {
      expectTypeOf(batch.events).toEqualTypeOf<readonly ChannelEvent[]>();
      for (const { kind } of batch.events) {
        if (kind?.case === "finished") expectTypeOf(kind.value.reason).toBeString();
        if (kind?.case === "refusal") expectTypeOf(kind.value).toBeString();
      }
    } else if (batch.kind === "snapshot") {
      expectTypeOf(batch.state).toEqualTypeOf<ChannelSnapshot>();
    } else {
      expectTypeOf(batch.validThrough).toBeNumber();
    }
  }
}

expectTypeOf(
  client.publish("chat-42", { type: "note", data: { any: 1 } }),
).resolves.toMatchTypeOf<Cursor>();
expectTypeOf(client.cancel("chat-42")).resolves.toBeVoid();
expectTypeOf(channel.detach()).toBeVoid();

export function handle(error: unknown): ErrorCode | undefined {
  if (error instanceof AccessError || error instanceof RequestError) return undefined;
  if (!(error instanceof ConnectionError)) return undefined;
  expectTypeOf(error).toMatchTypeOf<TokenwayError>();
  // Known codes complete in an editor, and a newer gateway's are no error.
  return error.code === "shutdown" ? "shutdown" : undefined;
}

// In React: a provider takes a client or how to make one, and what has not begun can be looked at.
export function component(): void {
  expectTypeOf<{ client: Client }>().toExtend<TokenwayProviderProps>();
  expectTypeOf<{ options: { url: string } }>().toExtend<TokenwayProviderProps>();
  expectTypeOf(useTokenway()).toEqualTypeOf<Client | undefined>();
  expectTypeOf(useChannel("chat-42").snapshot).toEqualTypeOf<ChannelSnapshot>();
  const { text, state, stop } = useGeneration(undefined, { smooth: 100, deferred: true });
  expectTypeOf(text).toBeString();
  expectTypeOf(state).toEqualTypeOf<"pending" | "none" | "running" | "finished" | "failed">();
  expectTypeOf(stop()).resolves.toBeVoid();
  expectTypeOf(useConnection()?.transport).toBeNullable();
  // @ts-expect-error a bound is in milliseconds
  useGeneration("chat-42", { smooth: "slow" });
}

// In the AI SDK: one transport for both versions, and for an app's own messages.
type Told = UIMessage<{ readonly tokenway: { readonly generation: string } }>;
export function chat(): void {
  useChat6({ transport: new TokenwayChatTransport({ client }), resume: true });
  useChat7({ transport: new TokenwayChatTransport({ client }), resume: true });
  const transport = new TokenwayChatTransport<Told>({
    client,
    send: async ({ chatId, messages }) => {
      expectTypeOf(messages).toEqualTypeOf<Told[]>();
      return { channel: chatId, generation: "gen_1" };
    },
  });
  expectTypeOf({ transport }).toExtend<UseChatOptions6<Told>>();
  // @ts-expect-error it must say where the generation is
  new TokenwayChatTransport({ client, send: async () => ({ id: "chat-42" }) });
  // @ts-expect-error it reads on a session
  new TokenwayChatTransport({});
}

// A `ChatTransport` for stock `useChat`: the app's server begins the generation, the browser follows its channel.
//
// Sending goes to the app's own endpoint, which keeps the provider key and answers where the generation can be found.
// Everything after that comes over the Tokenway session: drops are mended beneath, a reload reads everything so far in
// one piece, `stop` cancels the generation, and closing a tab stops nothing.

import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import type { Channel, Client } from "tokenway";
import { Chunks } from "./chunks.js";

/** Where a generation can be found: what `prefer: respond-async` answers. */
export interface Place {
  readonly channel: string;
  readonly generation: string;
}

/** What is sent to the app's server. */
export type Sending<UI_MESSAGE extends UIMessage> = Parameters<
  ChatTransport<UI_MESSAGE>["sendMessages"]
>[0];

/** How the transport reaches the app's server and the gateway. */
export interface TokenwayTransportOptions<UI_MESSAGE extends UIMessage> {
  /** The session that channels are read on. */
  readonly client: Client;
  /** The app's endpoint; it answers a POST with a `Place` as JSON. `/api/chat` by default. */
  readonly api?: string;
  /** Or a function in its place. */
  readonly send?: (sending: Sending<UI_MESSAGE>) => Promise<Place>;
  /** The channel of a chat; its id by default. Reconnecting looks there for what runs. */
  readonly channel?: (chatId: string) => string;
}

/** `useChat({ transport: new TokenwayChatTransport({ client }) , resume: true })`. */
export class TokenwayChatTransport<UI_MESSAGE extends UIMessage = UIMessage>
  implements ChatTransport<UI_MESSAGE>
{
  /** What reconnecting gives begins with everything said so far. */
  readonly resumeStreamIsReplay = true;
  readonly #options: TokenwayTransportOptions<UI_MESSAGE>;

  constructor(options: TokenwayTransportOptions<UI_MESSAGE>) {
    this.#options = options;
  }

  /** Begins a generation by way of the app's server and follows it. */
  async sendMessages(sending: Sending<UI_MESSAGE>): Promise<ReadableStream<UIMessageChunk>> {
    const { client, send } = this.#options;
    const { channel, generation } = await (send ? send(sending) : this.#post(sending));
    // Stopped while the server was asked: the generation runs already, and nobody wants it.
    if (sending.abortSignal?.aborted) await client.cancel(channel, generation);
    const following = client.subscribe(channel, { from: "snapshot" });
    return stream(client, following, generation, sending.abortSignal);
  }

  /** What runs on the chat's channel, from everything said so far on; null where nothing runs. */
  async reconnectToStream(
    options: Parameters<ChatTransport<UI_MESSAGE>["reconnectToStream"]>[0],
  ): Promise<ReadableStream<UIMessageChunk> | null> {
    const { client, channel = (id: string) => id } = this.#options;
    const following = client.subscribe(channel(options.chatId), { from: "snapshot" });
    await told(following, options.abortSignal);
    const { status, error, generations } = following.getSnapshot();
    if (status === "failed" && error && !NOTHING_THERE.includes(error.code)) throw error;
    const running = generations.findLast((one) => one.state === "running")?.started?.id;
    if (running === undefined || options.abortSignal?.aborted) {
      following.detach();
      return null;
    }
    return stream(client, following, running, options.abortSignal);
  }

  async #post(sending: Sending<UI_MESSAGE>): Promise<Place> {
    const { chatId, messages, trigger, messageId, headers, body, abortSignal } = sending;
    const response = await fetch(this.#options.api ?? "/api/chat", {
      method: "POST",
      headers: { "content-type": "application/json", ...plain(headers) },
      body: JSON.stringify({ id: chatId, messages, trigger, messageId, ...body }),
      signal: abortSignal ?? null,
    });
    if (!response.ok) throw new Error((await response.text()) || `${response.status}`);
    const place: unknown = await response.json();
    const { channel, generation } = (place ?? {}) as Partial<Place>;
    if (typeof channel !== "string" || typeof generation !== "string") {
      throw new Error("the app's server must answer with { channel, generation }");
    }
    return { channel, generation };
  }
}

/** A chat that was never begun, or whose channel has expired. */
const NOTHING_THERE = ["channel_not_found", "channel_evicted"];

function plain(headers: HeadersInit | undefined): Record<string, string> {
  return Object.fromEntries(new Headers(headers));
}

/** Waits until the gateway has told the channel's state. */
async function told(channel: Channel, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (channel.getSnapshot().status === "pending" && !signal?.aborted) return;
      forget();
      signal?.removeEventListener("abort", look);
      resolve();
    };
    const forget = channel.subscribe(look);
    signal?.addEventListener("abort", look);
    look();
  });
}

/** A generation's parts until its end. Cancelling the stream is only leaving; the signal is the user's stop. */
function stream(
  client: Client,
  channel: Channel,
  generation: string,
  signal: AbortSignal | undefined,
): ReadableStream<UIMessageChunk> {
  // It ends with the part that the cancel brings; and a cancel that cannot be told now is told after the drop.
  const stop = (): void => void client.cancel(channel.id, generation).catch(() => undefined);
  return new ReadableStream<UIMessageChunk>({
    async start(controller) {
      const chunks = new Chunks((chunk) => controller.enqueue(chunk));
      let index: number | undefined;
      signal?.addEventListener("abort", stop);
      try {
        for await (const batch of channel) {
          if (batch.kind === "snapshot") {
            const found = batch.state.generations.find((one) => one.started?.id === generation);
            if (found === undefined || found.evicted) break;
            index = found.index;
            chunks.catchUp(found);
          } else if (batch.kind === "events") {
            for (const event of batch.events) if (event.generation === index) chunks.event(event);
          }
          if (chunks.over) break;
        }
        if (!chunks.over) throw new Error("the channel no longer holds this generation");
        controller.close();
      } catch (error) {
        controller.error(error);
      } finally {
        signal?.removeEventListener("abort", stop);
        channel.detach();
      }
    },
    cancel() {
      channel.detach();
    },
  });
}

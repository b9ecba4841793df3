// A `ChatTransport` for stock `useChat`: the app's server begins the generation, the browser follows its channel.
//
// Sending goes to the app's own endpoint, which keeps the provider key and answers where the generation can be found.
// Everything after that comes over the Tokenway session: drops are mended beneath, a reload reads everything so far in
// one piece, `stop` cancels the generation, and closing a tab stops nothing.

import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import type { Channel, Client, GenerationSnapshot } from "tokenway";
import { Chunks } from "./chunks.js";

/** Where a generation can be found: what `prefer: respond-async` answers. */
export interface Place {
  /** The channel's id. */
  readonly channel: string;
  /** The generation's id. */
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

/** `useChat({ transport: new TokenwayChatTransport({ client }), resume: true })`. */
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
    const { abortSignal, trigger, messages, chatId } = sending;
    const sent = send ? send(sending) : this.#post(sending);
    await Promise.race([sent, whenAborted(abortSignal)]);
    if (abortSignal?.aborted) {
      // The server was asked all the same, and what it begins nobody wants.
      sent.then((place) => client.cancel(place.channel, place.generation)).catch(() => undefined);
      throw new DOMException("stopped", "AbortError");
    }
    const { channel, generation } = await sent;
    // Tools have answered: what comes belongs to the message that called them.
    const continues = trigger === "submit-message" && messages.at(-1)?.role === "assistant";
    const following = client.subscribe(channel, { from: "snapshot" });
    return stream({ client, following, generation, abortSignal, chatId, continues });
  }

  /** What runs on the chat's channel, from everything said so far on; null where nothing runs. */
  async reconnectToStream(
    options: Parameters<ChatTransport<UI_MESSAGE>["reconnectToStream"]>[0],
  ): Promise<ReadableStream<UIMessageChunk> | null> {
    const { client, channel = (id: string) => id } = this.#options;
    const { chatId, abortSignal } = options;
    const count = (resumed(client).get(chatId) ?? 0) + 1;
    resumed(client).set(chatId, count);
    const following = client.subscribe(channel(chatId), { from: "snapshot" });
    const known = told(following).then(() => following.getSnapshot());
    await Promise.race([known, whenAborted(abortSignal)]);
    if (abortSignal?.aborted) {
      // The user's stop, unless the SDK only begins the next resume: what runs is stopped once it is known, also where
      // the chat is resumed again until then.
      const stopped = resumed(client).get(chatId) === count;
      known
        .then(({ generations }) => {
          const running = runningOf(generations);
          if (stopped && running) return client.cancel(following.id, running);
        })
        .catch(() => undefined)
        .finally(() => following.detach());
      return null;
    }
    const { status, error, generations } = await known;
    if (status === "failed" && error && !NOTHING_THERE.includes(error.code)) throw error;
    const generation = runningOf(generations);
    if (generation === undefined) {
      following.detach();
      return null;
    }
    return stream({ client, following, generation, abortSignal, chatId, continues: false });
  }

  async #post(sending: Sending<UI_MESSAGE>): Promise<Place> {
    const { chatId, messages, trigger, messageId, headers, body } = sending;
    const response = await fetch(this.#options.api ?? "/api/chat", {
      method: "POST",
      headers: { "content-type": "application/json", ...plain(headers) },
      body: JSON.stringify({ id: chatId, messages, trigger, messageId, ...body }),
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

const resumes = new WeakMap<Client, Map<string, number>>();

/** How often each chat was resumed. Of a client, since some make a transport for each render. */
function resumed(client: Client): Map<string, number> {
  let counts = resumes.get(client);
  if (counts === undefined) {
    counts = new Map();
    resumes.set(client, counts);
  }
  return counts;
}

/** The id of the newest generation that runs. */
function runningOf(generations: readonly GenerationSnapshot[]): string | undefined {
  return generations.findLast((one) => one.state === "running")?.started?.id;
}

function plain(headers: HeadersInit | undefined): Record<string, string> {
  return Object.fromEntries(new Headers(headers));
}

function whenAborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve();
    else signal?.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Waits until the gateway has told the channel's state. */
function told(channel: Channel): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (channel.getSnapshot().status === "pending") return;
      forget();
      resolve();
    };
    const forget = channel.subscribe(look);
    look();
  });
}

interface Following {
  readonly client: Client;
  readonly following: Channel;
  readonly generation: string;
  readonly abortSignal: AbortSignal | undefined;
  readonly chatId: string;
  readonly continues: boolean;
}

/** A generation's parts until its end. Cancelling the stream is only leaving; the signal is the user's stop. */
function stream(of: Following): ReadableStream<UIMessageChunk> {
  const { client, following, generation, abortSignal, chatId } = of;
  const stop = (): void => {
    const count = resumed(client).get(chatId);
    // The SDK aborts one resume for the next one, too, and tells of it right after: that stops nothing.
    queueMicrotask(() => {
      if (resumed(client).get(chatId) !== count) return;
      // What cannot be told now is told after the drop.
      client.cancel(following.id, generation).catch(() => undefined);
    });
  };
  return new ReadableStream<UIMessageChunk>({
    async start(controller) {
      const chunks = new Chunks((chunk) => controller.enqueue(chunk), of.continues);
      let index: number | undefined;
      let seq = 0;
      abortSignal?.addEventListener("abort", stop);
      try {
        for await (const batch of following) {
          if (batch.kind === "snapshot") {
            const found = batch.state.generations.find((one) => one.started?.id === generation);
            if (found === undefined || found.evicted) break;
            ({ index } = found);
            ({ seq } = batch.state);
            chunks.catchUp(found);
          } else if (batch.kind === "events") {
            batch.events.forEach((event, at) => {
              if (event.generation !== index) return;
              seq = batch.firstSeq + at;
              chunks.event(event);
            });
          } else if (batch.validThrough < seq) {
            // What was said cannot be taken back; a resume begins with what holds.
            throw new Error(
              "the gateway lost the last words of this answer: resume to see what is left",
            );
          }
          if (chunks.over) break;
        }
        if (!chunks.over) throw new Error("the channel no longer holds this generation");
        controller.close();
      } catch (error) {
        controller.error(error);
      } finally {
        abortSignal?.removeEventListener("abort", stop);
        following.detach();
      }
    },
    cancel() {
      following.detach();
    },
  });
}

// A provider of the trials' own: OpenAI's stream, at a steady rate, each token with the time it left, until it is told
// to end.

import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { now } from "./browser/browser.js";

interface Stream {
  readonly response: ServerResponse;
  readonly began: number;
  sent: number;
}

const TICK_MS = 2;

/** The provider. */
export class Provider {
  readonly #server: Server;
  readonly #tokensPerSecond: number;
  readonly #streams = new Set<Stream>();
  readonly #timer: NodeJS.Timeout;

  private constructor(tokensPerSecond: number) {
    this.#tokensPerSecond = tokensPerSecond;
    this.#server = createServer((request, response) => {
      request.resume();
      request.on("end", () => this.#begin(response));
    });
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  static async start(tokensPerSecond: number): Promise<Provider> {
    const provider = new Provider(tokensPerSecond);
    provider.#server.listen(0, "127.0.0.1");
    await once(provider.#server, "listening");
    return provider;
  }

  /** What the gateway's config calls `base_url`. */
  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  /** Every stream ends now, as streams do. */
  finish(): void {
    for (const stream of this.#streams) {
      this.#write(stream.response, {}, "stop");
      stream.response.end("data: [DONE]\n\n");
    }
    this.#streams.clear();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #begin(response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.socket?.setNoDelay(true);
    const stream = { response, began: now(), sent: 0 };
    response.on("close", () => this.#streams.delete(stream));
    this.#streams.add(stream);
  }

  #tick(): void {
    for (const stream of this.#streams) {
      const due = Math.floor(((now() - stream.began) / 1_000) * this.#tokensPerSecond);
      for (; stream.sent < due; stream.sent++) {
        this.#write(stream.response, { content: `${stream.sent}@${now().toFixed(2)} ` }, null);
      }
    }
  }

  #write(response: ServerResponse, delta: object, finish: string | null): void {
    const choices = [{ index: 0, delta, finish_reason: finish }];
    const chunk = { id: "chatcmpl-trial", object: "chat.completion.chunk", model: "m", choices };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  }
}

// A provider of the trials' own that says what it is told, when it is told: OpenAI's stream, with thoughts, words, sources
// and calls of tools.

import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a chunk adds. */
export type Delta = Readonly<Record<string, unknown>>;

/** One answer that is being given. */
export class Telling {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  say(delta: Delta): void {
    this.#write(delta, null);
  }

  end(reason: string): void {
    this.#write({}, reason);
    this.#response.end("data: [DONE]\n\n");
  }

  #write(delta: Delta, finish: string | null): void {
    const choices = [{ index: 0, delta, finish_reason: finish }];
    const chunk = { id: "chatcmpl-told", object: "chat.completion.chunk", model: "m", choices };
    this.#response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  }
}

/** The provider. */
export class Teller {
  readonly #server: Server;
  readonly #waiting = new Map<string, (telling: Telling) => void>();

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const body = JSON.parse(Buffer.concat(await request.toArray()).toString());
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.socket?.setNoDelay(true);
      response.flushHeaders();
      const question: string = body.messages.at(-1).content;
      this.#waiting.get(question)?.(new Telling(response));
      this.#waiting.delete(question);
    });
  }

  static async start(): Promise<Teller> {
    const teller = new Teller();
    teller.#server.listen(0, "127.0.0.1");
    await once(teller.#server, "listening");
    return teller;
  }

  /** What the gateway's config calls `base_url`. */
  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  /** The answer to a question that is going to be asked. */
  asked(question: string): Promise<Telling> {
    return new Promise((resolve) => this.#waiting.set(question, resolve));
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/**
 * What a model says, in so many runs: thoughts, words, sources, and two calls of tools in pieces; kind by kind, or mixed,
 * as providers do that think between their words.
 */
export function scene(random: () => number, inTurn: boolean, runs: number): Delta[][] {
  const many = Array.from({ length: 5 * runs }, (_, at) => at);
  const call = (index: number, piece: object) => ({ tool_calls: [{ index, ...piece }] });
  const source = (at: number) => ({ url: `https://a.example/${at}`, title: `${at}` });
  const tool = (index: number, name: string): Delta[] => [
    call(index, { id: `call_${index}`, type: "function", function: { name, arguments: "" } }),
    ...['{"of', '":[1', `,${index}`, "]}"].map((text) =>
      call(index, { function: { arguments: text } }),
    ),
  ];
  const strands: Delta[][] = [
    many.map((at) => ({ reasoning_content: ` hm${at}` })),
    many.map((at) => ({ content: ` ${at}` })),
    many
      .slice(0, runs)
      .map((at) => ({ annotations: [{ type: "url_citation", url_citation: source(at) }] })),
    [...tool(0, "add"), ...tool(1, "find")],
  ];
  const all: Delta[] = [];
  for (;;) {
    const left = strands.filter((strand) => strand.length > 0);
    const from = inTurn ? left[0] : left[Math.floor(random() * left.length)];
    if (from === undefined) break;
    all.push(...from.splice(0, 1));
  }
  const each = Math.ceil(all.length / runs);
  return Array.from({ length: runs }, (_, at) => all.slice(at * each, (at + 1) * each));
}

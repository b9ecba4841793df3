// The gateway's HTTP interface in a few lines, straight from its documentation, over the same logs as the fake gateway,
// with faults on request. Real sockets, real time.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ConnectInfo } from "../../src/index.js";
import type { ChannelEvent } from "../../src/wire/event.js";
import { Log } from "./gateway.js";

/** What goes wrong. */
export interface HttpFaults {
  /** Streams break in the middle of a line, with a probability per event. */
  cut: number;
  /** Requests are refused by something on the way, with a probability each. */
  refuse: number;
  /** Streams are held back: nothing of them arrives before their end. */
  hold: boolean;
  /** Streams end after so many events, as proxies end what lasts long. */
  rotateAfter: number;
  /** Tokens that are good; empty means that none is looked at. */
  tokens: readonly string[];
}

interface Place {
  next: number;
  epoch: string;
  snapshot: "asked" | "trimmed" | "rewind" | undefined;
  rewind: { previous_epoch: string; valid_through: number; epoch: string } | undefined;
}

interface Item {
  readonly id?: string;
  readonly event: string;
  readonly data: unknown;
}

/** A gateway that only speaks HTTP. */
export class HttpGateway {
  readonly logs = new Map<string, Log>();
  readonly faults: HttpFaults = { cut: 0, refuse: 0, hold: false, rotateAfter: 1e9, tokens: [] };
  /** `METHOD path query` of each request of a channel. */
  readonly asked: string[] = [];
  readonly posted: { readonly path: string; readonly body: unknown }[] = [];
  /** Requests that are open now, and how many were at most. */
  open = 0;
  most = 0;
  readonly #server: Server;
  readonly #random: () => number;
  readonly #waiting = new Set<() => void>();
  url = "";

  private constructor(random: () => number) {
    this.#random = random;
    this.#server = createServer((request, response) => {
      this.open += 1;
      this.most = Math.max(this.most, this.open);
      response.on("close", () => {
        this.open -= 1;
      });
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async start(random: () => number = () => 0.999): Promise<HttpGateway> {
    const gateway = new HttpGateway(random);
    gateway.#server.listen(0, "127.0.0.1");
    await once(gateway.#server, "listening");
    gateway.url = `http://127.0.0.1:${(gateway.#server.address() as AddressInfo).port}`;
    return gateway;
  }

  get info(): ConnectInfo {
    const sse = `${this.url}/v1/channels`;
    return { webtransport: null, websocket: null, sse, protocol: "tokenway.v1" };
  }

  channel(id: string, epoch = "00000001"): Log {
    const log = new Log(id, epoch);
    this.logs.set(id, log);
    return log;
  }

  /** Something was said. */
  tick(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Breaks every connection. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    this.tick();
    await once(this.#server, "close");
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", this.url);
    const send = (status: number, body: unknown): void => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    const refuse = (status: number, code: string, epoch?: string): void =>
      send(status, { error: { code, message: code, epoch } });
    if (url.pathname === "/v1/connect/info") return send(200, this.info);
    this.asked.push(`${request.method} ${url.pathname} ${url.search}`);
    if (this.#random() < this.faults.refuse) {
      response.writeHead(502, { "content-type": "text/html" });
      response.end("<h1>Bad gateway</h1>");
      return;
    }
    const { tokens } = this.faults;
    const token = `${request.headers["tokenway-token"] ?? ""}`;
    if (tokens.length > 0 && !tokens.includes(token)) return refuse(401, "unauthorized");
    const [, , , id = "", verb] = url.pathname.split("/").map(decodeURIComponent);
    const log = this.logs.get(id);
    if (!log) return refuse(404, "channel_not_found");
    if (request.method === "POST") {
      let body = "";
      for await (const chunk of request) body += chunk;
      const said = JSON.parse(body);
      this.posted.push({ path: url.pathname, body: said });
      if (verb === "cancel") {
        log.end("cancelled");
        this.tick();
        return send(200, {});
      }
      const data = new TextEncoder().encode(JSON.stringify(said.data));
      log.events.push({
        text: "",
        generation: 0,
        choice: 0,
        kind: { case: "custom", value: { type: said.type, data } },
      });
      this.tick();
      return send(200, { epoch: log.epoch, seq: log.last });
    }
    const place = this.#place(log, url.searchParams, refuse);
    if (!place) return;
    if (url.searchParams.has("after") && log.closed && place.next > log.last && !place.rewind) {
      response.writeHead(204).end();
      return;
    }
    const head: Item[] = url.searchParams.has("head") ? [headOf(log, url.searchParams)] : [];
    if (`${request.headers.accept}`.includes("text/event-stream")) {
      await this.#stream(log, place, head, response);
    } else {
      await this.#poll(log, place, head, url.searchParams, send);
    }
  }

  #place(
    log: Log,
    query: URLSearchParams,
    refuse: (status: number, code: string, epoch?: string) => void,
  ): Place | undefined {
    const after = query.get("after");
    const place: Place = { next: 1, epoch: log.epoch, snapshot: undefined, rewind: undefined };
    if (after === null) {
      if (query.get("from") === "tail") place.next = log.last + 1;
      if (query.get("from") === "snapshot") place.snapshot = "asked";
      else if (place.next <= log.trimmed) place.snapshot = "trimmed";
      return place;
    }
    const [epoch = "", seq = ""] = after.split(".");
    place.next = Number(seq) + 1;
    if (epoch !== log.epoch) {
      const valid = log.before.get(epoch);
      if (valid === undefined) {
        refuse(409, "epoch_changed", log.epoch);
        return undefined;
      }
      place.rewind = { previous_epoch: epoch, valid_through: valid, epoch: log.epoch };
      if (Number(seq) > valid) place.snapshot = "rewind";
    } else if (Number(seq) > log.last) {
      refuse(416, "cursor_ahead", log.epoch);
      return undefined;
    }
    if (place.next <= log.trimmed) place.snapshot ??= "trimmed";
    return place;
  }

  /** What there is now after the place. */
  #collect(log: Log, place: Place): Item[] {
    const items: Item[] = [];
    if (place.epoch !== log.epoch) {
      const valid = log.before.get(place.epoch) ?? 0;
      place.rewind = { previous_epoch: place.epoch, valid_through: valid, epoch: log.epoch };
      if (place.next - 1 > valid) place.snapshot = "rewind";
      place.epoch = log.epoch;
    }
    if (place.next <= log.trimmed) place.snapshot ??= "trimmed";
    if (place.rewind) items.push({ event: "rewind", data: place.rewind });
    if (place.snapshot) {
      items.push({ id: `${log.epoch}.${log.last}`, event: "snapshot", data: snapshotOf(log) });
      place.next = log.last + 1;
    }
    place.rewind = undefined;
    place.snapshot = undefined;
    for (; place.next <= log.last; place.next++) {
      const event = log.events[place.next - 1];
      if (event) items.push({ id: `${log.epoch}.${place.next}`, ...eventOf(event, place.next) });
    }
    return items;
  }

  async #stream(
    log: Log,
    place: Place,
    head: readonly Item[],
    response: ServerResponse,
  ): Promise<void> {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    let items = [...head, ...this.#collect(log, place)];
    let left = this.faults.rotateAfter;
    let held = "";
    for (;;) {
      let text = "";
      for (const { id, event, data } of items) {
        const all = `${id ? `id: ${id}\n` : ""}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
        if (this.#random() < this.faults.cut) {
          const bytes = Buffer.from(text + all);
          response.write(bytes.subarray(0, bytes.length - Math.floor(this.#random() * 20) - 1));
          setImmediate(() => response.destroy());
          return;
        }
        text += all;
        left -= 1;
      }
      if (this.faults.hold) held += text;
      else response.write(text === "" ? ": keep-alive\n\n" : text);
      if (left <= 0 || (log.closed && place.next > log.last) || response.destroyed) break;
      await this.#news(60_000);
      if (response.destroyed || !this.#server.listening) break;
      items = this.#collect(log, place);
    }
    response.end(held);
  }

  async #poll(
    log: Log,
    place: Place,
    head: readonly Item[],
    query: URLSearchParams,
    send: (status: number, body: unknown) => void,
  ): Promise<void> {
    let items = this.#collect(log, place);
    if (items.length === 0 && !log.closed) {
      await this.#news(Number.parseInt(query.get("wait") ?? "0", 10) * 1_000);
      items = this.#collect(log, place);
    }
    const cursor = `${log.epoch}.${place.next - 1}`;
    send(200, { cursor, closed: log.closed, events: [...head, ...items] });
  }

  #news(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#waiting.add(wake);
    });
  }
}

const GENERATION = "gen_1";

function headOf(log: Log, query: URLSearchParams): Item {
  const tail = query.get("from") === "tail" && !query.has("after");
  const started = log.events.find(({ kind }) => kind?.case === "started")?.kind?.value as
    | { readonly model: string; readonly provider: string }
    | undefined;
  const generations = started
    ? [{ generation: GENERATION, dialect: "openai", created_ms: 1, ...started, id: undefined }]
    : [];
  const data = {
    epoch: log.epoch,
    first_seq: log.trimmed + 1,
    last_seq: log.last,
    generations,
    tail,
  };
  return { event: "head", data };
}

function eventOf(event: ChannelEvent, seq: number): Pick<Item, "event" | "data"> {
  const base = { seq, generation: GENERATION };
  const { kind } = event;
  switch (kind?.case) {
    case "started": {
      const { model, provider, dialect, createdMs } = kind.value;
      return {
        event: "started",
        data: { ...base, model, provider, dialect, created_ms: createdMs },
      };
    }
    case "finished":
      return { event: "finished", data: { ...base, reason: "stop", native_reason: null } };
    case "failed":
      return { event: "failed", data: { ...base, code: "cancelled", message: "" } };
    case "custom": {
      const data = JSON.parse(new TextDecoder().decode(kind.value.data));
      return { event: "custom", data: { seq, type: kind.value.type, data } };
    }
    default:
      return { event: "text", data: { ...base, text: event.text } };
  }
}

function snapshotOf(log: Log): unknown {
  const { generations } = log.fold("asked");
  return {
    through: log.last,
    epoch: log.epoch,
    generations: generations.map(({ state, choices, finished, failed }) => ({
      generation: GENERATION,
      model: "m",
      provider: "p",
      created_ms: 1,
      state,
      text: choices[0]?.text ?? "",
      reasoning: "",
      refusal: null,
      tool_calls: [],
      finish_reason: finished?.reason ?? null,
      native_finish_reason: null,
      usage: null,
      error: failed ? { code: failed.code, message: "" } : null,
    })),
    customs: [],
  };
}

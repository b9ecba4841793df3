// The gateway's HTTP interface, as the carriers without a session use it: one request, one answer.

import type { Json } from "./json.js";

/** The gateway answered, and what it said is no. */
export class Refusal extends Error {
  /** The HTTP status. */
  readonly status: number;
  /** Its code; empty where it gave none. */
  readonly code: string;
  /** The channel's epoch now, where a cursor was refused. */
  readonly epoch: string;

  constructor(status: number, { code, message, epoch }: Json) {
    super(message ?? `the gateway answered ${status}`);
    this.status = status;
    this.code = code ?? "";
    this.epoch = epoch ?? "";
  }
}

/** Tokens that are not good for a channel may be good for another: these answers say so. */
const WRONG_TOKEN: readonly number[] = [401, 403];

/** One gateway's interface, under the URL of its channels. */
export class Api {
  readonly #base: URL;
  /** The newest first. */
  #tokens: readonly string[] = [];
  /** Which one was good for a channel. */
  readonly #good = new Map<string, string>();

  constructor(base: string) {
    // A prefix that a proxy puts before it stays.
    this.#base = new URL(base.replace(/\/*$/, "/"));
  }

  /** Further tokens; the newest is tried first. */
  addTokens(tokens: readonly string[]): void {
    this.#tokens = [...new Set([...[...tokens].reverse(), ...this.#tokens])].slice(0, 64);
    this.#good.clear();
  }

  /** A sign of life, and which protocol carried it: `h2` and `h3` carry any number of requests at once. */
  async probe(signal: AbortSignal): Promise<string> {
    const url = new URL("../connect/info", this.#base);
    const response = await fetch(url, { headers: this.#headers(""), cache: "no-store", signal });
    await response.arrayBuffer();
    if (response.status >= 500) throw new Refusal(response.status, {});
    const entry = globalThis.performance?.getEntriesByName?.(url.href).at(-1);
    return (entry as PerformanceResourceTiming | undefined)?.nextHopProtocol ?? "";
  }

  /** `GET events`; 204 gives undefined. */
  events(
    channel: string,
    query: Record<string, string>,
    accept: string,
    signal: AbortSignal,
  ): Promise<Response | undefined> {
    return this.#ask(channel, `events?${new URLSearchParams(query)}`, {
      headers: { accept },
      cache: "no-store",
      signal,
    });
  }

  /** `POST` to one of the channel's verbs. */
  async post(channel: string, verb: string, body: string, signal: AbortSignal): Promise<Json> {
    const headers = { "content-type": "application/json" };
    const response = await this.#ask(channel, verb, { method: "POST", headers, body, signal });
    return (await response?.json()) as Json;
  }

  async #ask(channel: string, path: string, init: RequestInit): Promise<Response | undefined> {
    const url = new URL(`${encodeURIComponent(channel)}/${path}`, this.#base);
    // What was good may have run out, or not allow this: the others are tried after it.
    const known = this.#good.get(channel);
    const tokens = [...new Set(known ? [known, ...this.#tokens] : this.#tokens)];
    let refusal: Refusal | undefined;
    for (const token of tokens.length > 0 ? tokens : [""]) {
      const response = await fetch(url, {
        ...init,
        headers: { ...init.headers, ...this.#headers(token) },
      });
      if (response.ok && token) this.#good.set(channel, token);
      if (response.ok) return response.status === 204 ? undefined : response;
      const answer: Json = await response.json().catch(() => ({}));
      refusal ??= new Refusal(response.status, answer.error ?? {});
      if (!WRONG_TOKEN.includes(response.status))
        throw new Refusal(response.status, answer.error ?? {});
    }
    throw refusal;
  }

  #headers(token: string): Record<string, string> {
    const one = token || (this.#tokens[0] ?? "");
    return one ? { "tokenway-token": one } : {};
  }
}

// What the gateway tells operators. Behind an admin key where the gateway has keys; the key stays in this tab.

import { parse, type Sample } from "./openmetrics.js";

/** One model of a provider. */
export interface Target {
  readonly model: string;
  readonly breaker: "closed" | "open" | "half_open";
  readonly opens_in_ms: number | null;
  readonly in_flight: number;
}

/** One provider. */
export interface Provider {
  readonly name: string;
  readonly dialect: string;
  readonly address: string | null;
  readonly targets: readonly Target[];
}

/** One channel. */
export interface Channel {
  readonly id: string;
  readonly owner: string;
  readonly epoch: string;
  readonly first_seq: number;
  readonly last_seq: number;
  readonly bytes: number;
  readonly viewers: number;
  readonly running: number;
  readonly closed: boolean;
  readonly generations: number;
  readonly model: string | null;
  readonly provider: string | null;
  readonly idle_ms: number;
}

/** One session. */
export interface Session {
  readonly id: string;
  readonly transport: string;
  readonly subscriptions: number;
  readonly frames: number;
  readonly bytes: number;
  readonly age_ms: number;
}

/** Everything at one moment. */
export interface State {
  readonly version: string;
  readonly up_ms: number;
  readonly draining: boolean;
  readonly providers: readonly Provider[];
  readonly channels: { readonly count: number; readonly shown: readonly Channel[] };
  readonly sessions: { readonly count: number; readonly shown: readonly Session[] };
}

/** One event of a channel. */
export interface Entry {
  readonly seq: number;
  readonly at_ms: number;
  readonly event: string;
  readonly generation: string;
  readonly bytes: number;
  readonly text: string;
}

/** A part of a channel. */
export interface Timeline {
  readonly epoch: string;
  readonly first_seq: number;
  readonly last_seq: number;
  readonly frame_interval_ms: number;
  readonly entries: readonly Entry[];
}

/** The gateway wants an admin key, or another one. */
export class KeyWanted extends Error {}

const KEY = "tokenway.admin";

/** Keeps the key for as long as the tab is there. */
export function useKey(key: string): void {
  sessionStorage.setItem(KEY, key);
}

async function ask(path: string): Promise<Response> {
  const key = sessionStorage.getItem(KEY);
  const headers: HeadersInit = key === null ? {} : { authorization: `Bearer ${key}` };
  const response = await fetch(path, { headers, cache: "no-store" });
  if (response.ok) return response;
  const answer = (await response.json().catch(() => undefined)) as { error?: { message?: string } };
  const message = answer?.error?.message ?? `the gateway answered ${response.status}`;
  throw response.status === 401 || response.status === 403
    ? new KeyWanted(message)
    : new Error(message);
}

/** The numbers of now. */
export async function metrics(): Promise<readonly Sample[]> {
  return parse(await (await ask("/metrics")).text());
}

/** Channels, sessions and providers, those that match. */
export async function state(search: string): Promise<State> {
  const query = search === "" ? "" : `?${new URLSearchParams({ search })}`;
  return (await (await ask(`/console/ops/state${query}`)).json()) as State;
}

/** What was said on a channel after a seq. */
export async function timeline(channel: Channel, after: number): Promise<Timeline> {
  const { owner, id } = channel;
  const query = new URLSearchParams({ owner, channel: id, after: `${after}` });
  return (await (await ask(`/console/ops/timeline?${query}`)).json()) as Timeline;
}

/** The config in force, without its secrets. */
export async function config(): Promise<string> {
  return await (await ask("/console/ops/config")).text();
}

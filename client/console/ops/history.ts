// What the charts show: one point for each second, made of two scrapes. Pure.

import { buckets, by, quantile, type Sample, since, sum } from "./openmetrics.js";

/** How many points are kept: five minutes. */
export const POINTS = 300;

/** A moment. Undefined where nothing happened that could be measured. */
export interface Point {
  readonly atMs: number;
  readonly tokens: number;
  readonly running: number;
  readonly started: number;
  readonly failed: number;
  readonly firstP50: number | undefined;
  readonly firstP95: number | undefined;
  readonly gapP50: number | undefined;
  readonly gapP95: number | undefined;
  readonly gapP99: number | undefined;
  readonly lagP50: number | undefined;
  readonly lagP99: number | undefined;
  readonly sessions: ReadonlyMap<string, number>;
  readonly subscriptions: number;
  readonly resumes: ReadonlyMap<string, number>;
  readonly logBytes: number;
  readonly memoryBytes: number;
}

/** A scrape and when it was made. */
export interface Scrape {
  readonly atMs: number;
  readonly samples: readonly Sample[];
}

const FAILED = ["upstream_error", "upstream_cut", "timeout", "limit", "gateway_lost"];

/** What happened between two scrapes. Percentiles are over the last `window` of them, so that a quiet second is no gap. */
export function point(before: Scrape, now: Scrape, window: Scrape): Point {
  const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1_000);
  const rate = (name: string, labels: Record<string, string> = {}) =>
    Math.max(0, sum(now.samples, name, labels) - sum(before.samples, name, labels)) / seconds;
  const percentile = (name: string, share: number) => {
    const between = since(buckets(window.samples, name), buckets(now.samples, name));
    const value = quantile(between, share);
    return value === undefined ? undefined : value * 1_000;
  };
  const outcomes = [...by(now.samples, "tokenway_resumes_total", "outcome").keys()];
  return {
    atMs: now.atMs,
    tokens: rate("tokenway_deltas_total"),
    running: sum(now.samples, "tokenway_generations_running"),
    started: rate("tokenway_generations_started_total"),
    failed: FAILED.reduce((all, end) => all + rate("tokenway_generations_ended_total", { end }), 0),
    firstP50: percentile("tokenway_time_to_first_token_seconds", 0.5),
    firstP95: percentile("tokenway_time_to_first_token_seconds", 0.95),
    gapP50: percentile("tokenway_inter_token_gap_seconds", 0.5),
    gapP95: percentile("tokenway_inter_token_gap_seconds", 0.95),
    gapP99: percentile("tokenway_inter_token_gap_seconds", 0.99),
    lagP50: percentile("tokenway_frame_lag_seconds", 0.5),
    lagP99: percentile("tokenway_frame_lag_seconds", 0.99),
    sessions: by(now.samples, "tokenway_sessions", "transport"),
    subscriptions: sum(now.samples, "tokenway_subscriptions"),
    resumes: new Map(
      outcomes.map((outcome) => [outcome, rate("tokenway_resumes_total", { outcome })]),
    ),
    logBytes: sum(now.samples, "tokenway_log_bytes"),
    memoryBytes: sum(now.samples, "process_resident_memory_bytes"),
  };
}

/** How many scrapes percentiles are over. */
const WINDOW = 10;

/** The last points. */
export class History {
  readonly points: Point[] = [];
  readonly #scrapes: Scrape[] = [];

  /** Takes a scrape; the first makes no point yet. */
  add(scrape: Scrape): void {
    const before = this.#scrapes.at(-1);
    const window = this.#scrapes[0];
    this.#scrapes.push(scrape);
    if (this.#scrapes.length > WINDOW) this.#scrapes.shift();
    if (before === undefined || window === undefined) return;
    this.points.push(point(before, scrape, window));
    if (this.points.length > POINTS) this.points.shift();
  }
}

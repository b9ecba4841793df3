import { describe, expect, it } from "vitest";
import { ceiling } from "../console/ops/chart.js";
import { History } from "../console/ops/history.js";
import { parse } from "../console/ops/openmetrics.js";
import { age, bytes } from "../console/ops/tables.js";
import { framed } from "../console/ops/timeline.js";

const said = (seq: number, at_ms: number) => {
  return { seq, at_ms, event: "text", generation: "gen_1", bytes: 9, text: "a" };
};

describe("the operator's screen", () => {
  it("numbers frames as a session's clock makes them, on every page of a timeline alike", () => {
    const all = [0, 1, 15, 16, 31, 32, 90].map((at, seq) => said(seq + 1, at));
    const frames = framed(undefined, all, 16).map((entry) => entry.frame);
    expect(frames).toEqual([1, 2, 2, 2, 3, 3, 4]);
    const first = framed(undefined, all.slice(0, 3), 16);
    const rest = framed(first.at(-1), all.slice(3), 16);
    expect([...first, ...rest].map((entry) => entry.frame)).toEqual(frames);
  });

  it("makes rates of two scrapes, and none of one", () => {
    const history = new History();
    const scrape = (atMs: number, count: number) => ({
      atMs,
      samples: parse(`tokenway_deltas_total{model="m"} ${count}\ntokenway_generations_running 3\n`),
    });
    history.add(scrape(0, 100));
    expect(history.points).toEqual([]);
    history.add(scrape(2_000, 300));
    history.add(scrape(3_000, 20));
    expect(history.points.map((point) => point.tokens)).toEqual([100, 0]);
    expect(history.points[0]).toMatchObject({ running: 3, gapP99: undefined });
  });

  it("writes numbers for people", () => {
    expect([0, 3, 12, 600, 1_001].map(ceiling)).toEqual([1, 5, 20, 1_000, 2_000]);
    expect([5, 2_048, 3 * 1_024 ** 2].map(bytes)).toEqual(["5 B", "2.0 KiB", "3.0 MiB"]);
    expect([900, 61_000, 7_200_000].map(age)).toEqual(["1 s", "1 min", "2 h"]);
  });
});

import { describe, expect, it } from "vitest";
import { buckets, by, parse, quantile, since, sum } from "../console/ops/openmetrics.js";

const TEXT = `# HELP a_total Something.
# TYPE a_total counter
a_total{model="x",provider="p"} 3
a_total{model="y \\"quoted\\"",provider="p"} 4
b 7
h_seconds_bucket{model="x",le="0.1"} 2
h_seconds_bucket{model="y",le="0.1"} 2
h_seconds_bucket{model="x",le="0.2"} 4
h_seconds_bucket{model="y",le="0.2"} 6
h_seconds_bucket{model="x",le="+Inf"} 4
h_seconds_bucket{model="y",le="+Inf"} 6
nonsense
# EOF
`;

describe("the text of /metrics", () => {
  const samples = parse(TEXT);

  it("is read by name and labels", () => {
    expect(sum(samples, "a_total")).toBe(7);
    expect(sum(samples, "a_total", { model: 'y "quoted"' })).toBe(4);
    expect(sum(samples, "b")).toBe(7);
    expect(sum(samples, "none")).toBe(0);
    expect([...by(samples, "a_total", "model")]).toEqual([
      ["x", 3],
      ['y "quoted"', 4],
    ]);
  });

  it("gives quantiles over all labels", () => {
    const all = buckets(samples, "h_seconds");
    expect(quantile(all, 0.4)).toBeCloseTo(0.1);
    expect(quantile(all, 0.7)).toBeCloseTo(0.15);
    expect(quantile(all, 1)).toBeCloseTo(0.2);
    expect(quantile(buckets(samples, "none"), 0.5)).toBeUndefined();
  });

  it("gives what came in between, also when a gateway began anew", () => {
    const now = buckets(samples, "h_seconds");
    expect([...since(now, now).values()]).toEqual([0, 0, 0]);
    expect(since(new Map([[1, 99]]), now)).toBe(now);
  });
});

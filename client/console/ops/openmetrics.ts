// Reads OpenMetrics text, as `/metrics` says it. Pure. What it does not understand it passes over: a screen shows what it
// can.

/** One sample. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** All samples of a scrape. */
export function parse(text: string): readonly Sample[] {
  return text.split("\n").flatMap((line) => {
    const found = line.startsWith("#") ? null : LINE.exec(line);
    const [, name, labels, value] = found ?? [];
    if (name === undefined || value === undefined) return [];
    const number = value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value);
    return Number.isNaN(number) ? [] : [{ name, labels: labelsOf(labels ?? ""), value: number }];
  });
}

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name, value] of text.matchAll(LABEL)) {
    if (name !== undefined && value !== undefined) {
      labels[name] = value.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
    }
  }
  return labels;
}

/** The sum of all samples of this name whose labels are these. */
export function sum(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const wanted = Object.entries(labels);
  return samples.reduce((total, sample) => {
    const meant =
      sample.name === name && wanted.every(([key, value]) => sample.labels[key] === value);
    return meant ? total + sample.value : total;
  }, 0);
}

/** The sums by one label's value. */
export function by(samples: readonly Sample[], name: string, label: string): Map<string, number> {
  const sums = new Map<string, number>();
  for (const sample of samples) {
    const value = sample.name === name ? sample.labels[label] : undefined;
    if (value !== undefined) sums.set(value, (sums.get(value) ?? 0) + sample.value);
  }
  return sums;
}

/** A histogram over all its labels: how many values were at most each bound. */
export type Buckets = ReadonlyMap<number, number>;

/** The histogram of this name. */
export function buckets(samples: readonly Sample[], name: string): Buckets {
  const counts = new Map<number, number>();
  for (const sample of samples) {
    if (sample.name !== `${name}_bucket`) continue;
    const bound = sample.labels.le === "+Inf" ? Number.POSITIVE_INFINITY : Number(sample.labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + sample.value);
  }
  return new Map([...counts].sort(([one], [other]) => one - other));
}

/** What came between two scrapes. A gateway that began anew counts from nothing. */
export function since(before: Buckets, now: Buckets): Buckets {
  const total = (all: Buckets) => [...all.values()].at(-1) ?? 0;
  if (total(now) < total(before)) return now;
  return new Map([...now].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
}

/** The value that a share of all values does not exceed, between the bounds as if they were spread evenly; none of none. */
export function quantile(all: Buckets, share: number): number | undefined {
  const total = [...all.values()].at(-1) ?? 0;
  if (total === 0) return undefined;
  const rank = share * total;
  let [lower, below] = [0, 0];
  for (const [bound, count] of all) {
    if (count >= rank && count > below) {
      if (bound === Number.POSITIVE_INFINITY) return lower;
      return lower + (bound - lower) * ((rank - below) / (count - below));
    }
    [lower, below] = [bound === Number.POSITIVE_INFINITY ? lower : bound, count];
  }
  return lower;
}

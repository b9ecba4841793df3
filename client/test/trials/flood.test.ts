// A page that is fed from within, as fast as it takes it: five million tokens, and one very long text.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Browser, until } from "./browser/browser.js";
import { launchChromium } from "./browser/chromium.js";
import { Site } from "./site.js";
import { percentile } from "./table.js";

const TOKENS = 5_000_000;
const MILLION = 1_000_000;
/**
 * Bytes for each token, from its frame to the text that is read, with the sampler's own error: an object, a string and a
 * place in a list, all soon forgotten.
 */
const ALLOCATED_MAX = 300;
const LONG_TEXT_TOKENS = 200_000;

let browser: Browser;
let site: Site;

beforeAll(async () => {
  site = await Site.start("127.0.0.1", ["flood"]);
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  site?.stop();
});

describe("a page that is fed from within", () => {
  it("keeps its heap over five million tokens", async () => {
    const page = await browser.open(site.url("flood", null));
    const heaps: number[] = [];
    for (let step = 0; step < 5; step++) {
      await page.evaluate((tokens) => window.flood?.begin(tokens), TOKENS / 5);
      await until("a million tokens", 120_000, () =>
        page.evaluate(() => window.flood?.done(), null),
      );
      heaps.push((await page.heapBytes?.()) ?? Number.NaN);
    }
    const told = heaps.map((bytes) => (bytes / 1024 / 1024).toFixed(2)).join(", ");
    const seen = await page.evaluate(() => window.flood?.seen(), null);
    console.log(`heap after each million tokens, in MiB: ${told}`);
    expect(seen).toBe(TOKENS);
    const [first = 0, last = 0] = [heaps[0], heaps.at(-1)];
    expect(last).toBeLessThan(1.1 * first + 512 * 1024);
    await page.close();
  });

  it("asks for few bytes of memory for each token", async () => {
    const page = await browser.open(site.url("flood", null));
    await page.evaluate((tokens) => window.flood?.prepare(tokens), MILLION);
    let letters: number | undefined;
    const bytes = await page.allocated?.(async () => {
      letters = await page.evaluate(() => window.flood?.replay(), null);
    });
    const each = (bytes ?? Number.NaN) / MILLION;
    console.log(`allocated for each of a million tokens: ${each.toFixed(0)} bytes`);
    // Each was read, and weighs something.
    expect(letters).toBeGreaterThan(2 * MILLION);
    expect(each).toBeGreaterThan(8);
    expect(each).toBeLessThan(ALLOCATED_MAX);
    await page.close();
  });

  it("is as quick at the end of a text of 200,000 tokens as at its beginning", async () => {
    const page = await browser.open(site.url("flood", null));
    const times = await page.evaluate(
      (tokens) => window.flood?.long(tokens) ?? [],
      LONG_TEXT_TOKENS,
    );
    const part = Math.floor(times.length / 10);
    // The first thousands find code that is not compiled yet.
    const parts = [times.slice(part, 2 * part), times.slice(-part)];
    const [begin = Number.NaN, end = Number.NaN] = parts.map((one) => percentile(one, 0.5));
    console.log(
      `1,000 tokens: ${begin.toFixed(2)} ms near the beginning, ${end.toFixed(2)} ms at the end`,
    );
    expect(times).toHaveLength(LONG_TEXT_TOKENS / 1_000);
    expect(end).toBeLessThan(2 * begin);
    await page.close();
  });
});

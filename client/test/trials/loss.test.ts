// A lossy path: how old a token is when it is shown, by stream and by datagram side by side, in Chromium. One page each,
// both at once, each behind a proxy of its own.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pause } from "./browser/browser.js";
import { launchChromium } from "./browser/chromium.js";
import { Ground, type Viewer } from "./ground.js";
import { Impair } from "./net/impair.js";
import type { Plan } from "./page/trial.js";
import { percentile } from "./table.js";

const ONE_WAY_MS = 25;
const FRAME_MS = 1_000 / 60;
/** Without any, before and after the others: that is what the machine alone does. */
const LOSSES = [0, 0.02, 0.05, 0];
const MACHINE_FACTOR = 1.5;
const GENERATIONS = 5;
const TOKENS_PER_SECOND = 80;
/** After the connection's first round trips, of which there are many at 50 ms. */
const WARM_UP_MS = 4_000;
const MEASURED_MS = process.env.TOKENWAY_SOAK ? 180_000 : 20_000;
const SEED = Number(process.env.TOKENWAY_SEED ?? Date.now() % 1_000_000);

let ground: Ground;
let impair: Impair;

beforeAll(async () => {
  console.log(`seed: TOKENWAY_SEED=${SEED}`);
  ground = await Ground.prepare(94, TOKENS_PER_SECOND, launchChromium);
  impair = Impair.start();
});

afterAll(async () => {
  await impair?.kill();
  await ground?.leave();
});

interface Figures {
  readonly tokens: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly lost: number;
}

/** What one kind of delivery does while the other is beside it; `run` tells the proxies of two measurements apart. */
async function measure(loss: number, run: number): Promise<Record<Plan["delivery"], Figures>> {
  const names = ["stream", "datagram"] as const;
  const views: Viewer[] = [];
  for (const [at, delivery] of names.entries()) {
    const to = new URL((await ground.info()).webtransport?.url ?? "");
    const name = `${delivery}-${run}`;
    const listen = `${ground.namespace.outside}:0`;
    const reached = await impair.open(name, "udp", listen, to.host, SEED + at);
    await impair.set(name, { delay_ms: ONE_WAY_MS, loss });
    const reach = (info: Plan["info"]): Plan["info"] => {
      if (info.webtransport === null) throw new Error("no WebTransport");
      const url = info.webtransport.url.replace(to.host, reached);
      return { ...info, webtransport: { ...info.webtransport, url } };
    };
    views.push(
      await ground.view({ carriers: ["webtransport"], many: GENERATIONS, delivery, reach }),
    );
  }
  await pause(WARM_UP_MS);
  for (const { page } of views) await page.evaluate(() => window.trial?.forgetDelays(), null);
  await pause(MEASURED_MS);
  const figures = await Promise.all(
    views.map(async ({ page }, at) => {
      const delays = await page.evaluate(() => [...(window.trial?.diary().delays ?? [])], null);
      const counts = await impair.counts(`${names[at]}-${run}`);
      return {
        tokens: delays.length,
        p50: percentile(delays, 0.5),
        p99: percentile(delays, 0.99),
        max: percentile(delays, 1),
        lost: counts.lost / (counts.lost + counts.passed),
      };
    }),
  );
  ground.provider.finish();
  for (const { page } of views) {
    await pause(1_500);
    const shown = await page.evaluate(() => window.trial?.diary().channels ?? [], null);
    expect(shown).toHaveLength(GENERATIONS);
    for (const one of shown) expect(one).toMatchObject({ state: "finished", repeated: 0 });
    await page.close();
  }
  const [stream, datagram] = figures;
  if (stream === undefined || datagram === undefined) throw new Error("two pages were measured");
  return { stream, datagram };
}

describe("a path of 50 ms there and back", () => {
  it("shows a token by datagram within two frames of one way at 2 % loss, and streams beside it", async () => {
    const lines = ["| loss | delivery | tokens | p50 ms | p99 ms | max ms | packets lost |"];
    const found: Record<Plan["delivery"], Figures>[] = [];
    for (const [run, loss] of LOSSES.entries()) {
      const both = await measure(loss, run);
      found.push(both);
      for (const [delivery, { tokens, p50, p99, max, lost }] of Object.entries(both)) {
        const times = [p50, p99, max].map((ms) => ms.toFixed(1));
        const share = `${(100 * lost).toFixed(1)} %`;
        lines.push(`| ${[`${100 * loss} %`, delivery, tokens, ...times, share].join(" | ")} |`);
        expect(tokens).toBeGreaterThan((GENERATIONS * TOKENS_PER_SECOND * MEASURED_MS) / 1_000 / 2);
      }
    }
    console.log(lines.join("\n"));
    const [before, lossy, , after] = found;
    if (before === undefined || lossy === undefined || after === undefined) {
      throw new Error("all were measured");
    }
    // What the machine adds without any loss is not the network's doing; it is not the same all the time.
    const figure = ONE_WAY_MS + 2 * FRAME_MS;
    const clean = Math.max(before.datagram.p99, after.datagram.p99);
    const machine = MACHINE_FACTOR * Math.max(0, clean - figure);
    console.log(`figure: ${figure.toFixed(1)} ms; without loss ${clean.toFixed(1)} ms`);
    expect(lossy.datagram.p99).toBeLessThanOrEqual(figure + machine + FRAME_MS);
    expect(lossy.datagram.p99).toBeLessThan(lossy.stream.p99 + machine);
  });
});

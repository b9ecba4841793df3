// One page under load: fifty generations at once beside an empty page.
//
// Frames and long tasks as a user sees them depend on who else wants the cores: an empty page draws all its frames beside a
// busy compiler, and one that works does not, whatever it is. So these are held to the empty page's in windows in which the
// machine is quiet. What no neighbour changes is held always: the CPU time that the page's main thread takes, in all and in any
// one task.
//
// The suite's gateway is not optimised: 10,000 tokens a second are more than two cores can simulate with it. So the full rate
// and the longer look are the soak's, whose gateway is a release; the suite sees as many generations, and a tenth of the rate.

import { cpus } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gateway } from "../browser/gateway.js";
import { type Browser, type Page, pause, until } from "./browser/browser.js";
import { launchChromium } from "./browser/chromium.js";
import type { Busy } from "./page/load.js";
import { Site } from "./site.js";
import { percentile } from "./table.js";

const GENERATIONS = 50;
const TOKENS_PER_SECOND = process.env.TOKENWAY_SOAK ? 200 : 20;
/** Longer than anything here takes; they end with their gateway. */
const SPEAK_SECONDS = 600;
const WARM_UP_MS = 3_000;
const WINDOW_MS = 2_000;
const WINDOWS = process.env.TOKENWAY_SOAK ? 30 : 7;
/** So many quiet ones are looked for, at the full counts in up to three times as many windows. */
const QUIET_MIN = 3;
const LONGER = process.env.TOKENWAY_SOAK ? 3 : 1;
/** How long each task is looked at: apart from the windows, since that costs something. */
const TRACED_MS = 4_000;
/** A task that has the CPU for so long is a long one, whoever else wants it: the browsers' own measure. */
const LONG_TASK_MS = 50;
/**
 * On a quiet machine it is next to nothing. But a page that works half of the time loses frames wherever other programs
 * want the cores, and an empty one does not; one that cannot keep up loses far more than this.
 */
const FRAMES_LOST_MAX = 0.1;
/** Of its main thread's CPU time, beside the empty page's: this grows with what the page does, however busy the machine is. */
const CORE_SHARE_MAX = 0.8;
/** Of the cores' time, left over in a window in which the machine let every page run when it had something to do. */
const FREE_MIN = 0.15;

let browser: Browser;
let site: Site;

beforeAll(async () => {
  site = await Site.start("127.0.0.1", ["load"]);
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  site?.stop();
});

describe(`fifty generations at ${TOKENS_PER_SECOND} tokens a second each in one page`, () => {
  let gateway: Gateway;

  beforeAll(async () => {
    const config = `
version: 1
providers: { sim: { dialect: simulator } }
models: { sim: { targets: [{ provider: sim, model: sim-text }] } }
access: { allowed_origins: ["${site.origin}"] }
`;
    gateway = await Gateway.start({ config });
  });

  afterAll(() => gateway?.stop());

  it("draws as steadily as an empty page beside it", async () => {
    const info = await (await fetch(`${gateway.url}/v1/connect/info`)).json();
    const channels = await Promise.all(
      Array.from({ length: GENERATIONS }, () => speak(gateway, SPEAK_SECONDS)),
    );
    const empty = await browser.open(site.url("load", { info, channels: [] }));
    const full = await browser.open(site.url("load", { info, channels }));
    await until("every generation on the page", 60_000, async () => {
      const { speaking } = await read(full);
      return speaking === GENERATIONS || undefined;
    });
    await pause(WARM_UP_MS);
    await Promise.all([empty, full].map(begin));
    const cpu = await Promise.all([empty, full].map((page) => page.work?.()));
    const windows: Window[] = [];
    const isQuiet = ({ free }: Window): boolean => free >= FREE_MIN;
    const enough = (): boolean => windows.filter(isQuiet).length >= QUIET_MIN;
    while (windows.length < (enough() ? WINDOWS : LONGER * WINDOWS)) {
      await Promise.all([empty, full].map(begin));
      const before = idle();
      await pause(WINDOW_MS);
      const free = (idle() - before) / (WINDOW_MS * cpus().length);
      const [without, beside] = [await read(empty), await read(full)];
      windows.push({ empty: without, full: beside, free });
    }
    const spent = await Promise.all([empty, full].map((page) => page.work?.()));
    const shares = spent.map(
      (after, at) =>
        ((after?.taskMs ?? Number.NaN) - (cpu[at]?.taskMs ?? Number.NaN)) /
        (windows.length * WINDOW_MS),
    );
    const [idleShare = Number.NaN, share = Number.NaN] = shares;
    const tasks = (await browser.tasks?.([empty, full], TRACED_MS)) ?? [];
    const [idleTasks = [], fullTasks = []] = tasks;
    const long = tasks.map((one) => one.filter((ms) => ms > LONG_TASK_MS).length);
    const quiet = windows.filter(isQuiet);
    const lost = percentile(
      quiet.map(({ empty, full }) => 1 - full.frames / empty.frames),
      0.5,
    );
    const more = percentile(
      quiet.map(({ empty, full }) => full.longTasks - empty.longTasks),
      0.5,
    );
    const percent = (of: number): string => `${(100 * of).toFixed(0)} %`;
    console.log(
      [
        `empty: ${told(windows.map(({ empty }) => empty))}; main thread ${percent(idleShare)} of a core`,
        `${GENERATIONS} generations: ${told(windows.map(({ full }) => full))}; main thread ${percent(share)} of a core`,
        `cores free: ${windows.map(({ free }) => percent(free)).join(", ")}`,
        quiet.length > 0
          ? `in the ${quiet.length} windows with at least ${percent(FREE_MIN)} free: ${percent(lost)} fewer frames, ${more} more long tasks (medians)`
          : `!! none of ${windows.length} windows had ${percent(FREE_MIN)} free: held to the CPU time of the main thread alone`,
        `longest tasks by their CPU time: empty ${longest(idleTasks)}, full ${longest(fullTasks)}; ${long.join(" and ")} of more than ${LONG_TASK_MS} ms`,
      ].join("\n"),
    );
    // It was looked at, and drew.
    expect(fullTasks.length).toBeGreaterThan(idleTasks.length);
    expect(idleTasks.length).toBeGreaterThan(0);
    expect(long[1]).toBeLessThanOrEqual(long[0] ?? 0);
    const rates = windows.map(({ full }) => (1_000 * full.tokens) / WINDOW_MS);
    expect(percentile(rates, 0.5)).toBeGreaterThan(0.8 * GENERATIONS * TOKENS_PER_SECOND);
    expect(share - idleShare).toBeLessThan(CORE_SHARE_MAX);
    if (quiet.length > 0) {
      expect(lost).toBeLessThan(FRAMES_LOST_MAX);
      expect(more).toBeLessThanOrEqual(0);
    }
    await empty.close();
    await full.close();
  });
});

/** The same time of both pages. */
interface Window {
  readonly empty: Busy;
  readonly full: Busy;
  /** The share of all cores' time that nobody used. */
  readonly free: number;
}

/** How long the cores have had nothing to do, in milliseconds. */
function idle(): number {
  return cpus().reduce((sum, { times }) => sum + times.idle, 0);
}

async function speak(gateway: Gateway, seconds: number): Promise<string> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", prefer: "respond-async" },
    body: JSON.stringify({
      model: "sim",
      stream: true,
      messages: [{ role: "user", content: "Speak." }],
      simulator: { tokens: seconds * TOKENS_PER_SECOND, tokens_per_second: TOKENS_PER_SECOND },
    }),
  });
  if (response.status !== 202) throw new Error(await response.text());
  return ((await response.json()) as { channel: string }).channel;
}

const begin = (page: Page): Promise<void> => page.evaluate(() => window.load?.begin(), null);

async function read(page: Page): Promise<Busy> {
  const busy = await page.evaluate(() => window.load?.read(), null);
  if (busy === undefined) throw new Error("the page has not run");
  return busy;
}

const longest = (tasks: readonly number[]): string => `${Math.max(...tasks).toFixed(1)} ms`;

function told(windows: readonly Busy[]): string {
  const sum = (of: (busy: Busy) => number): number =>
    windows.reduce((all, one) => all + of(one), 0);
  const worst = Math.max(...windows.map(({ frameMax }) => frameMax));
  const p99 = percentile(
    windows.map(({ frameP99 }) => frameP99),
    0.5,
  );
  return [
    `${sum(({ frames }) => frames)} frames`,
    `p99 ${p99.toFixed(1)} ms apart (median window)`,
    `longest ${worst.toFixed(1)} ms`,
    `${sum(({ longTasks }) => longTasks)} long tasks`,
    `${sum(({ tokens }) => tokens)} tokens`,
  ].join(", ");
}

// What the trials stand on: both browsers do what they are told, and a namespace has a network that can be taken away.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Browser, pause } from "./browser/browser.js";
import { launchChromium } from "./browser/chromium.js";
import { launchFirefox } from "./browser/firefox.js";
import { Namespace } from "./net/namespace.js";
import { Site } from "./site.js";

let namespace: Namespace;
let site: Site;

beforeAll(async () => {
  namespace = await Namespace.make(90);
  site = await Site.start(namespace.outside, ["ticker"]);
});

afterAll(async () => {
  site?.stop();
  await namespace?.remove();
});

describe.each([
  ["chromium", launchChromium],
  ["firefox", launchFirefox],
] as const)("%s in a namespace", (name, launch) => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch({ namespace: namespace.name });
    console.log(`${name} ${browser.version}`);
  });

  afterAll(() => browser?.close());

  it("opens pages that share nothing, evaluates, reloads and takes pictures", async () => {
    const [one, other] = [
      await browser.open(site.url("ticker", 1)),
      await browser.open(site.url("ticker", 2)),
    ];
    await one.evaluate((text) => localStorage.setItem("word", text), "kept");
    const read = () => [localStorage.getItem("word"), decodeURIComponent(location.hash.slice(1))];
    expect(await one.evaluate(read, null)).toEqual(["kept", "1"]);
    expect(await other.evaluate(read, null)).toEqual([null, "2"]);
    await one.reload();
    expect(await one.evaluate(read, null)).toEqual(["kept", "1"]);
    await expect(
      one.evaluate(() => {
        throw new Error("told so");
      }, null),
    ).rejects.toThrow("told so");
    const folder = await mkdtemp(join(tmpdir(), "tokenway-shot-"));
    await one.screenshot(join(folder, "one.png"));
    expect((await readFile(join(folder, "one.png"))).subarray(1, 4).toString()).toBe("PNG");
    await rm(folder, { recursive: true });
    await one.close();
    await other.close();
  });

  it("is isolated, visible, draws, and stands still while it is frozen", async () => {
    const page = await browser.open(site.url("ticker", null));
    const state = () => [isSecureContext, crossOriginIsolated, document.visibilityState];
    expect(await page.evaluate(state, null)).toEqual([true, true, "visible"]);
    await pause(300);
    await browser.freeze(1_500);
    await pause(500);
    const { longest, frames } = await page.evaluate(
      () => window.ticker ?? { longest: 0, frames: 0 },
      null,
    );
    expect(frames).toBeGreaterThan(5);
    expect(longest).toBeGreaterThan(1_400);
    expect(await page.evaluate(state, null)).toEqual([true, true, "visible"]);
    await page.close();
  });

  it("has no network while the cable is out", async () => {
    const page = await browser.open(site.url("ticker", null));
    const reach = (patience: number) =>
      fetch(location.href, { signal: AbortSignal.timeout(patience) }).then(
        () => "reached",
        () => "not reached",
      );
    expect(await page.evaluate(reach, 5_000)).toBe("reached");
    await namespace.unplug();
    expect(await page.evaluate(reach, 700)).toBe("not reached");
    await namespace.plug();
    expect(await page.evaluate(reach, 5_000)).toBe("reached");
    await namespace.silence(true);
    expect(await page.evaluate(reach, 700)).toBe("not reached");
    await namespace.silence(false);
    expect(await page.evaluate(reach, 5_000)).toBe("reached");
    await page.close();
  });
});

// Which of the client's files a page loads, in a real browser over each carrier: those that `npm run size` weighs as that
// page's, and no other.

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gateway } from "./gateway.js";
import { launch } from "./page.js";

interface File {
  readonly name: string;
  readonly code: Uint8Array;
}

interface PageKind {
  readonly name: string;
  readonly parts: readonly string[];
}

/** A script, so without types. */
const scripts = await import(new URL("../../scripts/pages.mjs", import.meta.url).href);
const pages: readonly PageKind[] = scripts.pages;

let gateway: Gateway;
let browser: Browser;
let files: readonly File[];

beforeAll(async () => {
  [gateway, browser, files] = await Promise.all([Gateway.start(), launch(), scripts.split()]);
});

afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** The names of the files that a page has loaded by the time that it is live over the last of these carriers. */
async function load(carriers: readonly string[]): Promise<string[]> {
  const page = await browser.newPage();
  try {
    const asked: string[] = [];
    await page.route(`${gateway.url}/loads/*`, (route) => {
      const name = route.request().url().split("/loads/")[1] ?? "";
      asked.push(name);
      const code = files.find((one) => one.name === name)?.code ?? [];
      return route.fulfill({ contentType: "text/javascript", body: Buffer.from(code) });
    });
    // Where two carriers are tried, the first comes to nothing.
    await page.route(`${gateway.url}/v1/connect/info`, async (route) => {
      const answer = await route.fetch();
      const info = await answer.json();
      if (carriers.length > 1) info.webtransport.url = "https://127.0.0.1:1/v1/connect";
      return route.fulfill({ response: answer, json: info });
    });
    await page.goto(`${gateway.url}/healthz`);
    await page.addScriptTag({
      type: "module",
      content: `
        import * as tokenway from "/loads/index.js";
        const transports = ${JSON.stringify(carriers)}.map((name) => tokenway[name]);
        window.client = tokenway.connect({ url: location.origin, transports });
      `,
    });
    await page.waitForFunction(
      (carrier) => {
        const client = (window as { client?: import("../../src/index.js").Client }).client;
        const { state, transport } = client?.status.getSnapshot() ?? {};
        return state === "live" && transport === carrier;
      },
      carriers.at(-1),
      { timeout: 30_000 },
    );
    return asked.sort();
  } finally {
    await page.close();
  }
}

describe("what a page loads", () => {
  it.each([
    ["page: WebTransport", ["webtransport"]],
    ["page: WebSocket", ["websocket"]],
    ["page: both", ["webtransport", "websocket"]],
  ])("is what is weighed as it: %s", async (name, carriers) => {
    const parts = pages.find((one) => one.name === name)?.parts ?? [];
    const weighed: readonly File[] = scripts.loaded(files, parts);
    expect(weighed.length).toBeGreaterThan(4);
    expect(await load(carriers)).toEqual(weighed.map((one) => one.name).sort());
  });
});

// Stock `useChat` of both of the SDK's versions, in a real browser, against the real gateway.

import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Gateway } from "../browser/gateway.js";
import { launch } from "../browser/page.js";
import { Program } from "./program.js";

const HERE = fileURLToPath(new URL("use-chat", import.meta.url));
const STEP_MS = 20_000;
const END_MS = 60_000;

let gateway: Gateway;
let browser: Browser;

beforeAll(async () => {
  gateway = await Gateway.start();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
});

const CASES = [
  ["6", "our transport", ""],
  ["7", "our transport", ""],
  ["6", "the SDK's own transport", "&stock"],
  ["7", "the SDK's own transport", "&stock"],
] as const;

describe.each(CASES)("useChat of version %s over %s", (version, _, how) => {
  let app: Program;
  let context: BrowserContext;
  let chats = 0;
  let kind: "chat" | "endless";

  beforeAll(async () => {
    const env = { TOKENWAY_URL: gateway.url, SDK: version, MODEL: "reasoner" };
    app = await Program.start("server.mjs", HERE, env);
  });
  afterAll(() => app?.stop());
  beforeEach(async () => {
    context = await browser.newContext();
    chats += 1;
    kind = "chat";
  });
  afterEach(() => context?.close());

  const id = (): string => `${kind}-${version}${how.slice(1)}-${chats}`;

  async function open(): Promise<Page> {
    const page = await context.newPage();
    page.setDefaultTimeout(STEP_MS);
    await page.goto(`${app.url}/?id=${id()}&gateway=${encodeURIComponent(gateway.url)}${how}`);
    return page;
  }

  const says = (page: Page, letters: number) =>
    page.waitForFunction(
      (least) =>
        (document.querySelector("[data-role=assistant]")?.textContent?.length ?? 0) >= least,
      letters,
    );
  const status = (page: Page, wanted: string) =>
    page.waitForSelector(`[data-status=${wanted}]`, { timeout: END_MS });
  const parts = (page: Page, type: string) =>
    page.locator(`[data-role=assistant] [data-type=${type}]`).allTextContents();
  const running = async () => (await gateway.channel(id())).generations.map(({ state }) => state);

  /** Everything was said, once, in one message. */
  async function expectWhole(page: Page): Promise<void> {
    await status(page, "ready");
    const kept = await gateway.channel(id());
    expect(kept.generations.map(({ state }) => state)).toEqual(["finished"]);
    expect((await parts(page, "text")).join("")).toBe(kept.generations[0]?.text);
    expect((await parts(page, "reasoning")).join("")).toBe(kept.generations[0]?.reasoning);
    const messages = page.locator("[data-role=assistant]");
    expect(await messages.count()).toBe(1);
    const metadata = JSON.parse((await messages.getAttribute("data-metadata")) ?? "null");
    expect(metadata.tokenway.usage.totalTokens).toBeGreaterThan(0);
  }

  it("goes on after a reload, and in a second tab", async () => {
    const first = await open();
    await first.click("#send");
    await says(first, 40);
    await first.reload();
    await says(first, 40);
    const second = await open();
    await says(second, 40);
    await expectWhole(first);
    await expectWhole(second);
  });

  it("stops for good after a resume, and closing a tab stops nothing", async () => {
    // However busy the machine is, it runs until it is stopped.
    kind = "endless";
    const first = await open();
    await first.click("#send");
    await says(first, 40);
    await first.close();
    const second = await open();
    await says(second, 40);
    expect(await running()).toEqual(["running"]);
    await second.click("#stop");
    await status(second, "ready");
    await expect.poll(running).toEqual(["failed"]);
    const kept = await gateway.channel(id());
    expect(kept.generations[0]?.error?.code).toBe("cancelled");
  });

  it("has nothing to resume where nothing was said, and that is no error", async () => {
    const page = await open();
    await status(page, "ready");
    await page.waitForTimeout(500);
    expect(await page.locator("output").count()).toBe(0);
    expect(await page.locator("article").count()).toBe(0);
  });
});

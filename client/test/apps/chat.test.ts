// The example app in a real browser, against the real gateway.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freeTcpPort, Gateway } from "../browser/gateway.js";
import { launch } from "../browser/page.js";
import { Program } from "./program.js";

const APP = fileURLToPath(new URL("../../../examples/chat", import.meta.url));
const SHOTS = process.env.TOKENWAY_SCREENSHOTS ?? "../target/screenshots";
const STEP_MS = 20_000;
/** As long as an answer of the demo may take. */
const END_MS = 60_000;

let gateway: Gateway;
let browser: Browser;
const apps = new Map<string, Program>();

/** The app in front of one of the demo's models. */
async function app(model: string): Promise<string> {
  let running = apps.get(model);
  if (running === undefined) {
    const env = { TOKENWAY_URL: gateway.url, MODEL: model, PORT: "0" };
    running = await Program.start("server.mjs", APP, { ...env, NODE_ENV: "production" });
    apps.set(model, running);
  }
  return running.url;
}

beforeAll(async () => {
  await mkdir(SHOTS, { recursive: true });
  gateway = await Gateway.start();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  for (const one of apps.values()) await one.stop();
  await gateway?.stop();
});

/** Runs as one user; whatever the page throws fails the test. */
async function asUser(
  options: BrowserContextOptions,
  work: (context: BrowserContext, open: (url: string) => Promise<Chat>) => Promise<void>,
): Promise<void> {
  const context = await browser.newContext(options);
  const errors: string[] = [];
  context.on("weberror", (error) => errors.push(String(error.error())));
  try {
    await work(context, async (url) => {
      const page = await context.newPage();
      page.setDefaultTimeout(STEP_MS);
      await page.goto(url);
      await page.waitForSelector("textarea");
      return new Chat(page);
    });
    expect(errors).toEqual([]);
  } finally {
    await context.close();
  }
}

class Chat {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** Asks, and waits until the answer has some words. */
  async ask(question: string): Promise<void> {
    const before = await this.page.locator(".answer").count();
    await this.page.fill("textarea", question);
    await this.page.keyboard.press("Enter");
    await this.says(before, 20);
  }

  /** Waits until an answer has so many letters. */
  async says(answer: number, letters: number): Promise<void> {
    await this.page.waitForFunction(
      ([at = 0, least = 0]) =>
        (document.querySelectorAll(".answer")[at]?.textContent?.length ?? 0) >= least,
      [answer, letters],
    );
  }

  async ended(state: "finished" | "failed"): Promise<void> {
    const last = this.page.locator(`.answer >> nth=-1`);
    await last.and(this.page.locator(`[data-state=${state}]`)).waitFor({ timeout: END_MS });
    // The last words flow for a moment longer.
    let [before, now] = ["", await this.text()];
    while (before !== now) {
      await this.page.waitForTimeout(300);
      [before, now] = [now, await this.text()];
    }
  }

  /** All that is said, with its markup. */
  async text(): Promise<string> {
    const said = await this.page.locator("article").allInnerTexts();
    return said.join("\n");
  }

  async newChat(): Promise<void> {
    const link = this.page.locator(".new");
    if (await link.isVisible()) await link.click();
    else await this.page.evaluate(() => location.assign("#"));
    await this.page.waitForSelector(".beginning");
  }

  async shot(name: string): Promise<void> {
    await this.page.screenshot({ path: join(SHOTS, `chat-${name}.png`) });
  }
}

describe("the example app", () => {
  it("goes on with an answer after a reload in its middle, and in a second tab", async () => {
    const url = await app("chat");
    await asUser({}, async (_, open) => {
      const first = await open(url);
      await first.ask("Why does the tide come twice a day?");
      await first.page.reload();
      await first.says(0, 20);
      const second = await open(first.page.url());
      await second.says(0, 20);
      // Else this was no answer in its middle.
      expect(await first.page.locator(".answer").getAttribute("data-state")).toBe("running");
      await first.ended("finished");
      await second.ended("finished");
      const whole = await first.text();
      expect(whole.length).toBeGreaterThan(200);
      expect(await second.text()).toBe(whole);
      // Who comes later gets it in one piece: so nothing was lost or doubled on the way.
      const late = await open(first.page.url());
      await late.ended("finished");
      expect(await late.text()).toBe(whole);
      // What is asked in one tab is in the other.
      await second.ask("And the moon?");
      await first.says(1, 20);
      expect(await first.page.locator(".question").allInnerTexts()).toEqual([
        "Why does the tide come twice a day?",
        "And the moon?",
      ]);
    });
  });

  it("stops for good, whichever tab it is stopped in, also after a reload", async () => {
    const url = await app("novel");
    await asUser({}, async (_, open) => {
      const first = await open(url);
      await first.ask("Tell me a story");
      const second = await open(first.page.url());
      await second.page.reload();
      await second.says(0, 20);
      await second.page.click("[aria-label=Stop]");
      await first.ended("failed");
      await second.ended("failed");
      expect(await first.text()).toContain("Stopped");
      expect(await first.page.locator("[aria-label=Send]").count()).toBe(1);
      const late = await open(first.page.url());
      await late.ended("failed");
      expect(await late.text()).toBe(await first.text());
      const user = await first.page.evaluate(async () => (await fetch("/api/session")).json());
      const chat = new URL(first.page.url()).hash.slice(1);
      const kept = await gateway.channel(`${user.user}.${chat}`);
      expect(kept.generations.map(({ state }) => state)).toEqual(["failed"]);
    });
  });

  it("says that it is offline, and misses nothing when it is back", async () => {
    const url = await app("chat");
    await asUser({ viewport: { width: 1280, height: 800 } }, async (context, open) => {
      const chat = await open(url);
      await chat.ask("Where does a tunnel end?");
      await context.setOffline(true);
      await chat.page.getByText("You are offline.").waitFor();
      gateway.restartWebTransport();
      await chat.page.waitForTimeout(1_000);
      await chat.shot("offline");
      await context.setOffline(false);
      await chat.page.getByText("You are offline.").waitFor({ state: "detached" });
      await chat.ended("finished");
      const late = await open(chat.page.url());
      await late.ended("finished");
      expect(await late.text()).toBe(await chat.text());
    });
  });

  it("follows several conversations at once", async () => {
    const url = await app("chat");
    await asUser({}, async (_, open) => {
      const chat = await open(url);
      const questions = ["One", "Two", "Three"];
      for (const question of questions) {
        await chat.newChat();
        await chat.ask(question);
      }
      await chat.page.waitForFunction(() => document.querySelectorAll("nav li .live").length > 1);
      const links = chat.page.locator("nav li a");
      expect(await links.allInnerTexts()).toEqual([...questions].reverse());
      await links.last().click();
      await chat.page.locator(".question", { hasText: "One" }).waitFor();
      await chat.ended("finished");
      await chat.page.waitForFunction(
        () => document.querySelectorAll("nav li .live").length === 0,
        undefined,
        { timeout: END_MS },
      );
    });
  });

  it("says why an answer failed, and asks again", async () => {
    const url = await app("fails-midway");
    await asUser({}, async (_, open) => {
      const chat = await open(url);
      await chat.ask("Will this work?");
      await chat.ended("failed");
      await chat.page.click("text=Try again");
      await chat.page.locator(".question >> nth=1").waitFor();
      await chat.ended("failed");
    });
  });

  it("keeps the gateway's key to itself, and opens a user's own conversations only", async () => {
    const [port, key] = [await freeTcpPort("127.0.0.1"), `key-${crypto.randomUUID()}`];
    const guarded = await Gateway.start({
      config: `version: 1
providers: { sim: { dialect: simulator } }
models: { chat: { targets: [ { provider: sim, model: sim-text } ] } }
access:
  keys: [ { name: web, key: ${key} } ]
  token_secret: ${crypto.randomUUID()}
  allowed_origins: ["http://localhost:${port}"]
`,
    });
    const env = { TOKENWAY_URL: guarded.url, TOKENWAY_KEY: key, PORT: String(port) };
    const started = await Program.start("server.mjs", APP, { ...env, NODE_ENV: "production" });
    try {
      let conversation = "";
      /** What the gateway says to a page's user who asks for the conversation. */
      const status = (page: Page): Promise<number> =>
        page.evaluate(
          async ([gateway = "", channel = ""]) => {
            const { tokens } = await (await fetch("/api/session")).json();
            const headers = { authorization: `Bearer ${tokens[0]}` };
            return (await fetch(`${gateway}/v1/channels/${channel}`, { headers })).status;
          },
          [guarded.url, conversation],
        );
      await asUser({}, async (context, open) => {
        const sent: string[] = [];
        context.on("response", async (response) => {
          sent.push(await response.text().catch(() => ""));
        });
        const chat = await open(started.url);
        await chat.ask("Who may read this?");
        await chat.page.reload();
        await chat.says(0, 20);
        await chat.page.click("[aria-label=Stop]");
        await chat.ended("failed");
        expect(await chat.text()).toContain("Stopped");
        conversation = await chat.page.evaluate(async () => {
          const { user } = await (await fetch("/api/session")).json();
          return `${user}.${location.hash.slice(1)}`;
        });
        expect(sent.join()).not.toContain(key);
        expect(await status(chat.page)).toBe(200);
      });
      await asUser({}, async (_, open) => {
        const stranger = await open(started.url);
        expect([403, 404]).toContain(await status(stranger.page));
      });
    } finally {
      await started.stop();
      await guarded.stop();
    }
  });

  it("says so where the gateway is away when it is opened, and begins once it is there", async () => {
    const key = `key-${crypto.randomUUID()}`;
    const [port, appPort] = [await freeTcpPort("127.0.0.1"), await freeTcpPort("127.0.0.1")];
    const env = { TOKENWAY_URL: `http://127.0.0.1:${port}`, TOKENWAY_KEY: key };
    const production = { PORT: String(appPort), NODE_ENV: "production" };
    const started = await Program.start("server.mjs", APP, { ...env, ...production });
    const config = `version: 1
providers: { sim: { dialect: simulator } }
models: { chat: { targets: [ { provider: sim, model: sim-text } ] } }
access:
  keys: [ { name: web, key: ${key} } ]
  token_secret: ${crypto.randomUUID()}
  allowed_origins: ["http://localhost:${appPort}"]
`;
    let late: Gateway | undefined;
    try {
      await asUser({}, async (context) => {
        const page = await context.newPage();
        page.setDefaultTimeout(STEP_MS);
        await page.goto(started.url);
        const told = page.getByRole("alert");
        await told.getByText(`no gateway at ${env.TOKENWAY_URL}`).waitFor();
        await page.screenshot({ path: join(SHOTS, "chat-unavailable.png") });
        late = await Gateway.start({ config, port });
        await page.getByRole("button", { name: "Try again" }).click();
        await page.waitForSelector("textarea");
        await new Chat(page).ask("Are you there now?");
      });
    } finally {
      await started.stop();
      await late?.stop();
    }
  });

  it("starts as its README says, for whoever works on it", async () => {
    const env = { TOKENWAY_URL: gateway.url, PORT: "0", NODE_ENV: "development" };
    const started = await Program.start("server.mjs", APP, env);
    try {
      await asUser({}, async (context) => {
        const page = await context.newPage();
        await page.goto(started.url, { timeout: 60_000 });
        await page.getByText("What would you like to know?").waitFor({ timeout: 60_000 });
      });
    } finally {
      await started.stop();
    }
  });

  it("looks as it should", async () => {
    const wide = { width: 1280, height: 800 };
    const views = [
      ["light", { viewport: wide, colorScheme: "light" }],
      ["dark", { viewport: wide, colorScheme: "dark" }],
      ["narrow", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }],
    ] as const;
    const url = await app("novel");
    for (const [name, options] of views) {
      await asUser(options, async (_, open) => {
        const chat = await open(url);
        if (name === "light") await chat.shot("new");
        await chat.ask("What does the harbour look like at night?");
        await chat.newChat();
        await chat.ask("Write me a letter from the far shore");
        await chat.newChat();
        await chat.ask("How does a river remember?");
        await chat.says(0, 900);
        await chat.shot(name);
      });
    }
  });
});

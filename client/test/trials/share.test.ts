// Windows of Firefox on one connection: the one that holds it is closed in mid-stream. What else may happen to it is tried
// in Chromium, by test/browser/share.test.ts: Firefox cannot be told to freeze or kill one page.

import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Client } from "../../src/index.js";
import { Gateway } from "../browser/gateway.js";
import { type Browser, type Page, until } from "./browser/browser.js";
import { launchFirefox } from "./browser/firefox.js";

declare global {
  interface Window {
    shared?: { client: Client; follow(id: string): void; text(): string; seqs: number[] };
  }
}

const PAGE = `
import { connect } from "./src/index.ts";
const client = connect({ url: location.origin });
const shared = window.shared = {
  client, seqs: [],
  async follow(id) {
    const channel = client.subscribe(id);
    shared.text = () => channel.getSnapshot().generations[0]?.text.toString() ?? "";
    for await (const batch of channel) {
      if (batch.kind !== "events") continue;
      batch.events.forEach((_, at) => shared.seqs.push(batch.firstSeq + at));
    }
  },
};
`;

let gateway: Gateway;
let browser: Browser;
let script: string;

beforeAll(async () => {
  const stdin = { contents: PAGE, resolveDir: process.cwd() };
  const options = { bundle: true, write: false, format: "iife", target: "es2022" } as const;
  const { outputFiles } = await build({ stdin, ...options });
  script = outputFiles[0]?.text ?? "";
  [gateway, browser] = await Promise.all([Gateway.start(), launchFirefox()]);
});

afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
});

const status = (page: Page) =>
  page.evaluate(() => {
    const { state, shared, transport } = window.shared?.client.status.getSnapshot() ?? {};
    return { state, shared, transport };
  }, null);

/** Waits until the session is live, and has the part that is expected of it. */
const live = (page: Page, part: string): Promise<unknown> =>
  until(`a page that ${part}`, 20_000, async () => {
    const { state, shared } = await status(page);
    return (state === "live" && shared === part) || undefined;
  });

async function begin(): Promise<string> {
  const models = await (await fetch(`${gateway.url}/v1/models`)).json();
  const model = (models as { data: { id: string }[] }).data[0]?.id;
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", prefer: "respond-async" },
    body: JSON.stringify({ model, stream: true, messages: [{ role: "user", content: "Go on." }] }),
  });
  return ((await response.json()) as { channel: string }).channel;
}

describe("windows of Firefox", () => {
  it("share one session, which moves with nothing lost when the one that has it is closed", async () => {
    const run = (code: string): void => {
      const element = document.createElement("script");
      element.textContent = code;
      document.head.append(element);
    };
    // Text, and the gateway's own page: a script can be put there, and it may talk to the gateway.
    const url = `${gateway.url}/healthz`;
    const keeper = await browser.open(url);
    const first = await keeper.beside(url);
    await first.evaluate(run, script);
    await live(first, "leads");
    const second = await keeper.beside(url);
    await second.evaluate(run, script);
    await live(second, "follows");
    console.log(`firefox ${browser.version} over ${(await status(second)).transport}`);
    expect((await gateway.sessions()).now).toBe(1);
    const id = await begin();
    for (const page of [first, second]) {
      await page.evaluate((channel) => window.shared?.follow(channel), id);
      await until("events", 10_000, async () => {
        const many = await page.evaluate(() => window.shared?.seqs.length ?? 0, null);
        return many > 10 || undefined;
      });
    }
    await first.close();
    await live(second, "leads");
    const kept = await until("its end", 120_000, async () => {
      const state = await gateway.channel(id);
      const seen = await second.evaluate(() => window.shared?.seqs.length, null);
      const isOver = state.generations[0]?.state !== "running" && seen === state.last_seq;
      return isOver ? state : undefined;
    });
    const [text, seqs, recoveries] = await second.evaluate(
      () =>
        [
          window.shared?.text() ?? "",
          window.shared?.seqs,
          window.shared?.client.status.getSnapshot().recoveries ?? [],
        ] as const,
      null,
    );
    expect(Buffer.from(text)).toEqual(Buffer.from(kept.generations[0]?.text ?? ""));
    expect(seqs).toEqual(Array.from({ length: kept.last_seq }, (_, at) => at + 1));
    expect(recoveries).toHaveLength(1);
    expect((await gateway.sessions()).now).toBe(1);
    console.log(
      `firefox, the leader closed: back after ${recoveries[0]?.recoveryMs.toFixed(0)} ms`,
    );
    await second.close();
    await keeper.close();
  });
});

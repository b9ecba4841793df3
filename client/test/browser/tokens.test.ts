// Channel tokens that run out while an answer goes on, in a real browser against a gateway with access keys, over each
// carrier: who fetches others in time never notices, and who does not is shown the door.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Client } from "../../src/index.js";
import { bundle } from "./bundle.js";
import { type ChannelState, Gateway } from "./gateway.js";
import { launch } from "./page.js";

const CARRIERS = ["webtransport", "websocket", "sse", "longpoll"] as const;
const KEY = "web-key-0123456789";
/** Seconds; others are fetched when a fifth of them is left. */
const TTL = 4;
const STEP_MS = 30_000;

/** What the page under test does, and notes. */
interface Reader {
  readonly client: Client;
  readonly seqs: number[];
  /** Of the last events, in milliseconds since 1970. */
  at: number;
  /** When each token was fetched, and when it expires; in milliseconds since 1970. */
  readonly tokens: { readonly fetched: number; readonly expires: number }[];
  text(): string;
  state(): string | undefined;
  /** Why the channel cannot be read any more. */
  readonly error: string | undefined;
  attachments(): number;
}

declare global {
  interface Window {
    reader?: Reader;
    /** The app's server, which keeps the key. */
    askForToken(channel: string): Promise<string>;
  }
}

/** `CARRIER`, `CHANNEL` and `RENEWS` are put in. */
const PAGE = `
import * as tokenway from "/tokens/index.js";
const tokens = [];
const fetchToken = async () => {
  const token = await window.askForToken("CHANNEL");
  const { exp } = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  tokens.push({ fetched: Date.now(), expires: exp * 1000 });
  return [token];
};
const client = tokenway.connect({
  url: location.origin,
  share: false,
  transports: [tokenway.CARRIER],
  tokens: RENEWS ? fetchToken : await fetchToken(),
});
const channel = client.subscribe("CHANNEL");
const reader = window.reader = {
  client, tokens, seqs: [], at: 0,
  text: () => channel.getSnapshot().generations[0]?.text.toString() ?? "",
  state: () => channel.getSnapshot().generations[0]?.state,
  get error() { return channel.getSnapshot().error?.code ?? channel.getSnapshot().end; },
  attachments: () => channel.metrics().attachments,
};
for await (const batch of channel) {
  if (batch.kind !== "events") continue;
  reader.at = Date.now();
  batch.events.forEach((_, at) => reader.seqs.push(batch.firstSeq + at));
}
`;

let gateway: Gateway;
let browser: Browser;
let files: Map<string, string>;

beforeAll(async () => {
  const config = `version: 1
providers: { sim: { dialect: simulator } }
models: { chat: { targets: [{ provider: sim, model: sim-text }] } }
access:
  keys: [{ name: web, key: ${KEY} }]
  token_secret: a-secret-of-thirty-two-bytes-or-more
`;
  [gateway, browser, files] = await Promise.all([
    Gateway.start({ config }),
    launch(),
    bundle("tokens"),
  ]);
});

afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** As the app's server asks the gateway. */
async function ask<T>(path: string, body?: object): Promise<T> {
  const response = await fetch(`${gateway.url}/v1/${path}`, {
    method: body ? "POST" : "GET",
    headers: {
      authorization: `Bearer ${KEY}`,
      "content-type": "application/json",
      prefer: "respond-async",
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

/** Begins a generation that nobody has to read, and that goes on until it is stopped. */
async function begin(): Promise<string> {
  const { channel } = await ask<{ channel: string }>("chat/completions", {
    model: "chat",
    stream: true,
    messages: [{ role: "user", content: "Go on." }],
    simulator: { tokens: 100_000, tokens_per_second: 80 },
  });
  return channel;
}

async function open(carrier: string, channel: string, renews: boolean): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(STEP_MS);
  await page.route(`${gateway.url}/tokens/*`, (route) => {
    const body = files.get(route.request().url().split("/tokens/")[1] ?? "") ?? "";
    return route.fulfill({ contentType: "text/javascript", body });
  });
  await page.exposeFunction("askForToken", async (of: string) => {
    const wish = { channel: of, ttl: `${TTL}s`, allow: ["read"] };
    return (await ask<{ token: string }>("tokens", wish)).token;
  });
  await page.goto(`${gateway.url}/healthz`);
  const content = PAGE.replaceAll("CARRIER", carrier)
    .replaceAll("CHANNEL", channel)
    .replaceAll("RENEWS", String(renews));
  await page.addScriptTag({ type: "module", content });
  await page.waitForFunction(() => (window.reader?.seqs.length ?? 0) > 0);
  return page;
}

const told = (page: Page) =>
  page.evaluate(() => {
    const { reader } = window;
    if (reader === undefined) throw new Error("the page has not run");
    const { seqs, at, tokens, error, client } = reader;
    const { transport, recoveries, state } = client.status.getSnapshot();
    const how = { transport, recoveries: recoveries.length, state };
    return { seqs, at, tokens, error, attachments: reader.attachments(), text: reader.text(), how };
  });

describe("a token that runs out", () => {
  it("is renewed in time over every carrier, and nothing is lost", async () => {
    const channel = await begin();
    const pages = await Promise.all(CARRIERS.map((carrier) => open(carrier, channel, true)));
    for (const page of pages) {
      // Still reading when the first one has run out.
      await page.waitForFunction(() => {
        const [first, second] = window.reader?.tokens ?? [];
        return first && second && (window.reader?.at ?? 0) > first.expires + 500;
      });
    }
    await ask(`channels/${channel}/cancel`, {});
    const kept = await ask<ChannelState>(`channels/${channel}`);
    for (const [at, page] of pages.entries()) {
      await page.waitForFunction(() => window.reader?.state() === "failed");
      const carrier = CARRIERS[at];
      const { seqs, tokens, text, error, attachments, how } = await told(page);
      // One session, one subscription, from the beginning to the end.
      expect(how, carrier).toEqual({ transport: carrier, recoveries: 0, state: "live" });
      expect(attachments, carrier).toBe(1);
      expect(seqs, carrier).toEqual(Array.from({ length: kept.last_seq }, (_, one) => one + 1));
      expect(Buffer.from(text), carrier).toEqual(Buffer.from(kept.generations[0]?.text ?? ""));
      // Its own generation's end is the channel's.
      expect(error ?? "complete", carrier).toBe("complete");
      for (const [n, next] of tokens.slice(1).entries()) {
        expect(next.fetched, carrier).toBeLessThan(tokens[n]?.expires ?? 0);
      }
      await page.close();
    }
  });

  it("ends the reading where it is not renewed, over every carrier", async () => {
    const channel = await begin();
    const pages = await Promise.all(CARRIERS.map((carrier) => open(carrier, channel, false)));
    for (const [at, page] of pages.entries()) {
      await page.waitForFunction(() => window.reader?.error !== undefined);
      const { seqs, tokens, error, at: last } = await told(page);
      // Told on a session that stands, or answered to who asks over HTTP.
      expect(error, CARRIERS[at]).toMatch(/^(forbidden|unauthorized)$/);
      expect(tokens, CARRIERS[at]).toHaveLength(1);
      expect(seqs, CARRIERS[at]).toEqual(seqs.map((_, one) => one + 1));
      expect(last, CARRIERS[at]).toBeLessThan((tokens[0]?.expires ?? 0) + 1_000);
      await page.close();
    }
    await ask(`channels/${channel}/cancel`, {});
  });
});

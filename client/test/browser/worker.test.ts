// The client in a Web Worker of a real browser: no window, no document, and every carrier.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle } from "./bundle.js";
import { Gateway } from "./gateway.js";
import { launch } from "./page.js";

/** `ORIGIN` is the gateway's. */
const WORKER = `
import * as tokenway from "ORIGIN/worker/index.js";
onmessage = async ({ data: [carrier, channelId] }) => {
  if (typeof window !== "undefined" || typeof document !== "undefined") throw new Error("no worker");
  const client = tokenway.connect({
    url: self.origin,
    share: false,
    transports: [tokenway[carrier]],
  });
  const channel = client.subscribe(channelId);
  let text = "";
  for await (const batch of channel) {
    if (batch.kind !== "events") continue;
    for (const event of batch.events) text += event.text;
    if (batch.events.some(({ kind }) => kind?.case === "finished")) break;
  }
  await client.publish(channelId, { type: "note", data: carrier });
  const state = () => channel.getSnapshot();
  while (state().customs.length === 0) await new Promise((done) => setTimeout(done, 5));
  const folded = state().generations[0].text.toString();
  const { transport } = client.status.getSnapshot();
  client.close();
  postMessage({ text, folded, transport, customs: state().customs.map(({ data }) => data) });
};
`;

let gateway: Gateway;
let browser: Browser;
let page: Page;
let model: string;

beforeAll(async () => {
  [gateway, browser] = await Promise.all([Gateway.start(), launch()]);
  const files = await bundle("worker");
  page = await browser.newPage();
  await page.route(`${gateway.url}/worker/*`, (route) => {
    const body = files.get(route.request().url().split("/worker/")[1] ?? "") ?? "";
    return route.fulfill({ contentType: "text/javascript", body });
  });
  // Any page of the gateway's origin.
  await page.goto(`${gateway.url}/healthz`);
  const models = (await (await fetch(`${gateway.url}/v1/models`)).json()) as {
    data: { id: string }[];
  };
  model = models.data[0]?.id ?? "";
});

afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
});

describe("a Web Worker", () => {
  it.each([
    "webtransport",
    "websocket",
    "sse",
    "longpoll",
  ])("follows and publishes over %s", async (carrier) => {
    const channel = `worker-${carrier}`;
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "tokenway-channel": channel,
        prefer: "respond-async",
      },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "Hello." }] }),
    });
    expect(response.status).toBe(202);
    const said = await page.evaluate(
      ([name, id, script]) =>
        new Promise((resolve, reject) => {
          // A worker whose script is answered by the driver counts as one from the open internet, and Chromium keeps
          // those from opening sockets to the loopback; this one has the page's rights.
          const source = new Blob([script.replace("ORIGIN", origin)], { type: "text/javascript" });
          const worker = new Worker(URL.createObjectURL(source), { type: "module" });
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = ({ message }) => reject(new Error(message));
          worker.postMessage([name, id]);
        }),
      [carrier, channel, WORKER] as const,
    );
    const { generations } = await gateway.channel(channel);
    const text = generations[0]?.text;
    expect(text?.length).toBeGreaterThan(20);
    expect(said).toEqual({ text, folded: text, transport: carrier, customs: [carrier] });
  });
});

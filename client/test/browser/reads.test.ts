// How a page reads WebTransport's streams, in a real browser: into one buffer again and again where the browser's streams can
// (BYOB), and chunk by chunk where they cannot. Counted by standing in the way of the browser's own readers.

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle } from "./bundle.js";
import { Gateway } from "./gateway.js";
import { launch } from "./page.js";

const READ_BYTES = 16 * 1024;

/** What was read, and how. */
interface Reads {
  /** The room that was given to each read into a buffer. */
  readonly into: number[];
  /** Chunks of bytes that the browser made a buffer of its own for. */
  chunks: number;
}

declare global {
  interface Window {
    reads?: Reads;
  }
}

/** Runs before anything of the page. */
function count(able: boolean): void {
  const reads: Reads = { into: [], chunks: 0 };
  window.reads = reads;
  const { prototype: byob } = ReadableStreamBYOBReader;
  const { prototype: chunked } = ReadableStreamDefaultReader;
  const { prototype: stream } = ReadableStream;
  const { read: readInto } = byob;
  const { read: readChunk } = chunked;
  const { getReader } = stream;
  byob.read = function (this: ReadableStreamBYOBReader, view: ArrayBufferView<ArrayBuffer>) {
    reads.into.push(view.byteLength);
    return readInto.call(this, view);
  } as typeof readInto;
  chunked.read = async function (this: ReadableStreamDefaultReader) {
    const result = await readChunk.call(this);
    if (result.value instanceof Uint8Array) reads.chunks += 1;
    return result;
  };
  if (able) return;
  stream.getReader = function (this: ReadableStream, options?: ReadableStreamGetReaderOptions) {
    if (options?.mode === "byob") throw new TypeError("not a byte stream");
    return getReader.call(this);
  } as typeof getReader;
}

const PAGE = `
import { connect, webtransport } from "/reads/index.js";
const client = connect({ url: location.origin, share: false, transports: [webtransport] });
const channel = client.subscribe("CHANNEL");
channel.subscribe(() => {
  const [answer] = channel.getSnapshot().generations;
  if (answer?.state === "finished") document.body.textContent = answer.text.toString();
});
`;

let gateway: Gateway;
let browser: Browser;
let files: Map<string, string>;

beforeAll(async () => {
  [gateway, browser, files] = await Promise.all([Gateway.start(), launch(), bundle("reads")]);
});

afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** Follows a channel that is spoken on, and gives how it was read. */
async function follow(channel: string, able: boolean): Promise<Reads> {
  const page = await browser.newPage();
  try {
    await page.addInitScript(count, able);
    await page.route(`${gateway.url}/reads/*`, (route) => {
      const body = files.get(route.request().url().split("/reads/")[1] ?? "") ?? "";
      return route.fulfill({ contentType: "text/javascript", body });
    });
    await page.goto(`${gateway.url}/v1/connect/info`);
    const models = await (await fetch(`${gateway.url}/v1/models`)).json();
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "tokenway-channel": channel,
        prefer: "respond-async",
      },
      body: JSON.stringify({
        model: models.data[0].id,
        messages: [{ role: "user", content: "Hello." }],
      }),
    });
    expect(response.status).toBe(202);
    await page.addScriptTag({ type: "module", content: PAGE.replace("CHANNEL", channel) });
    await expect
      .poll(async () => (await gateway.channel(channel)).generations[0]?.state, { timeout: 60_000 })
      .toBe("finished");
    const { text = "" } = (await gateway.channel(channel)).generations[0] ?? {};
    expect(text.length).toBeGreaterThan(100);
    await page.waitForFunction((whole) => document.body.textContent === whole, text);
    const reads = await page.evaluate(() => window.reads);
    if (reads === undefined) throw new Error("nothing was counted");
    console.log(`${channel}: ${reads.into.length} reads into a buffer, ${reads.chunks} chunks`);
    return reads;
  } finally {
    await page.close();
  }
}

describe("WebTransport's streams", () => {
  it("are read into one buffer where the browser's streams can", async () => {
    const { into, chunks } = await follow("reads-into", true);
    // The frames of an answer that takes its time come one by one.
    expect(into.length).toBeGreaterThan(20);
    expect([...new Set(into)]).toEqual([READ_BYTES]);
    expect(chunks).toBe(0);
  });

  it("are read chunk by chunk where they cannot, and say the same", async () => {
    const { into, chunks } = await follow("reads-chunks", false);
    expect(into).toEqual([]);
    expect(chunks).toBeGreaterThan(20);
  });
});

// The README's first lines, from the package as it is installed and against the real gateway: in Node, and bundled as an app
// bundles them, in Chromium. And the endpoint that the README gives an app for the AI SDK.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { Gateway } from "../browser/gateway.js";
import { launch } from "../browser/page.js";
import { plain, snippets, ways } from "./snippets.js";

const project = inject("project");
const run = promisify(execFile);
const STEP_MS = 30_000;

let gateway: Gateway;
let model: string;

beforeAll(async () => {
  gateway = await Gateway.start();
  const models = await (await fetch(`${gateway.url}/v1/models`)).json();
  model = models.data[0].id;
});

afterAll(() => gateway?.stop());

/** Has something said on a channel, and gives what it is in the end. */
async function said(channel: string): Promise<string> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "tokenway-channel": channel },
    body: JSON.stringify({ model, messages: [{ role: "user", content: `Of ${channel}.` }] }),
  });
  expect(response.status).toBe(200);
  const text = (await gateway.channel(channel)).generations[0]?.text ?? "";
  expect(text.length).toBeGreaterThan(20);
  return text;
}

/** What the reader of the README has: three functions that show something, told by `show`, to whom all of it is given. */
const reader = (show: string): string => `
const show = ${show};
let shown = "";
const write = (text) => show(shown += text);
const rewrite = () => show(shown = "");
const render = (text) => show(shown = text ?? "");
`;

describe("the README's two ways to read a channel", () => {
  const WAYS = [
    ["event by event", 0],
    ["as a store", 1],
  ] as const;

  it.each(WAYS)("run in Node, %s", async (_, at) => {
    const channel = `readme-node-${at}`;
    const text = await said(channel);
    // It goes on as long as the channel does: the reader leaves once all is there.
    const show = `(text) => text === ${JSON.stringify(text)} && (console.log(text), process.exit())`;
    const script = join(project, `${channel}.js`);
    await writeFile(script, reader(show) + (await ways(gateway.url, channel))[at]);
    const { stdout } = await run(process.execPath, [script], { timeout: STEP_MS });
    expect(stdout).toBe(`${text}\n`);
  });

  describe("bundled for a browser", () => {
    let browser: Browser;
    let server: Server;
    const files = new Map<string, string>();

    beforeAll(async () => {
      browser = await launch();
      // An app's own server, beside the gateway.
      server = createServer((request, response) => {
        const file = files.get(request.url?.slice(1) ?? "");
        const type = request.url?.endsWith(".js") ? "text/javascript" : "text/html";
        response.writeHead(file === undefined ? 404 : 200, { "content-type": type }).end(file);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    });

    afterAll(async () => {
      await browser?.close();
      server?.close();
    });

    /** Bundles a program of the project, as an app does, and opens a page with it. */
    async function open(name: string, program: string): Promise<Page> {
      const { outputFiles } = await build({
        stdin: { contents: program, resolveDir: project, sourcefile: `${name}.js` },
        bundle: true,
        splitting: true,
        format: "esm",
        target: "es2022",
        entryNames: name,
        outdir: project,
        write: false,
        logLevel: "warning",
      });
      for (const { path, text } of outputFiles) files.set(path.slice(project.length + 1), text);
      files.set(name, `<!doctype html><script type="module" src="/${name}.js"></script>`);
      const page = await browser.newPage();
      page.setDefaultTimeout(STEP_MS);
      await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/${name}`);
      return page;
    }

    it.each(WAYS)("run in Chromium, %s, over a session of its own", async (_, at) => {
      const name = `readme-page-${at}`;
      const text = await said(name);
      const program = reader("(text) => { document.body.textContent = text; }");
      const page = await open(name, program + (await ways(gateway.url, name))[at]);
      try {
        await page.waitForFunction((wanted) => document.body?.textContent === wanted, text);
        const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
        // On a machine that is busy the one may be too late for its head start.
        expect(metrics).toMatch(
          /^tokenway_sessions\{transport="(webtransport|websocket)"\} [1-9]/m,
        );
      } finally {
        await page.close();
      }
    });
  });
});

it("the README's endpoint begins what is asked of it, and answers where", async () => {
  const source = (await snippets()).find((one) => one.includes("function POST"));
  const module = `const gateway = ${JSON.stringify(gateway.url)};\n${await plain(source ?? "")}`;
  const { POST } = await import(`data:text/javascript,${encodeURIComponent(module)}`);
  const id = "readme-endpoint";
  const messages = [{ id: "1", role: "user", parts: [{ type: "text", text: "Hello." }] }];
  const request = new Request("https://app.example/api/chat", {
    method: "POST",
    body: JSON.stringify({ id, messages }),
  });
  const response: Response = await POST(request);
  expect(response.status).toBe(202);
  expect(await response.json()).toMatchObject({
    channel: id,
    generation: expect.stringMatching(/./),
  });
  expect((await gateway.channel(id)).generations).toHaveLength(1);
});

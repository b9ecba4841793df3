// The app's server: the page, built for the SDK's version that SDK names, and what `useChat` posts to.

import { createServer } from "node:http";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const gateway = process.env.TOKENWAY_URL;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const newer = here("../../../node_modules/ai-sdk-react4");
const { outputFiles } = await build({
  entryPoints: [here("page.tsx")],
  bundle: true,
  write: false,
  format: "esm",
  target: "es2022",
  define: { "process.env.NODE_ENV": '"development"' },
  tsconfig: here("../../../tsconfig.json"),
  alias: process.env.SDK === "7" ? { "@ai-sdk/react": newer, ai: `${newer}/node_modules/ai` } : {},
});
const page = '<!doctype html><div id="root"></div><script type="module" src="/page.js"></script>';

/** Begins a generation that belongs to no connection, on the chat's channel. */
async function begin({ id, messages }) {
  const text = messages
    .at(-1)
    .parts.map((part) => part.text ?? "")
    .join("");
  const body = {
    model: process.env.MODEL,
    stream: true,
    messages: [{ role: "user", content: text }],
    // The simulator's own: half an hour of talk.
    ...(id.startsWith("endless") && { simulator: { tokens: 150_000, tokens_per_second: 80 } }),
  };
  const headers = {
    "content-type": "application/json",
    prefer: "respond-async",
    "tokenway-channel": id,
  };
  const response = await fetch(`${gateway}/v1/chat/completions`, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

async function answer(request, response) {
  const path = request.url.split("?")[0];
  if (path === "/api/chat" || path === "/api/stock") {
    const asked = JSON.parse(await new Response(Readable.toWeb(request)).text());
    const place = await begin(asked);
    if (path === "/api/chat") return response.end(JSON.stringify(place));
    const view = await fetch(`${gateway}/v1/channels/${place.channel}/ui-message-stream`);
    response.writeHead(200, Object.fromEntries(view.headers));
    return Readable.fromWeb(view.body)
      .on("error", () => response.destroy())
      .pipe(response);
  }
  if (path.startsWith("/api/stop/")) {
    await fetch(`${gateway}/v1/channels/${path.slice("/api/stop/".length)}/cancel`, {
      method: "POST",
    });
    return response.end("{}");
  }
  const isScript = path === "/page.js";
  response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
  response.end(isScript ? outputFiles[0].contents : page);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    response.statusCode = 502;
    response.end(error.message);
  });
});
server.listen(0, "127.0.0.1", () => console.log(`http://localhost:${server.address().port}`));

// The app's server, and all there is of it: it keeps the key, starts generations, and says which channels a browser may
// read. The words go from the gateway to the browser without passing through here.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";

const GATEWAY = process.env.TOKENWAY_URL ?? "http://localhost:8080";
/** One of the gateway's `access.keys`; an open gateway, such as the demo, needs none. */
const KEY = process.env.TOKENWAY_KEY;
const MODEL = process.env.MODEL ?? "chat";
const PORT = Number(process.env.PORT ?? 5173);
const TEXT_MAX = 20_000;

async function gateway(path, body, headers) {
  const response = await fetch(new URL(path, GATEWAY), {
    method: body ? "POST" : "GET",
    headers: { "content-type": "application/json", ...(KEY && { authorization: `Bearer ${KEY}` }), ...headers },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error.message), { status: response.status });
  return answer;
}

/** What a browser needs to read its user's channels, and no others. */
async function session(user) {
  const allowed = { channel: `${user}.*`, ttl: "1h", allow: ["read", "cancel"] };
  const tokens = KEY ? [(await gateway("/v1/tokens", allowed)).token] : [];
  return { gateway: GATEWAY, user, tokens };
}

/** Asks the model, on the conversation's channel; nobody has to wait for the answer here. */
async function ask(channel, text) {
  const messages = [...(await history(channel)), { role: "user", content: text }];
  const detached = { prefer: "respond-async", "tokenway-channel": channel };
  const started = await gateway("/v1/chat/completions", { model: MODEL, messages, stream: true }, detached);
  // The question goes onto the channel beside its answer, so the channel is the whole conversation.
  const data = { generation: started.generation, text };
  await gateway(`/v1/channels/${channel}/events`, { type: "question", data });
  return { generation: started.generation };
}

/** The conversation so far. An app that keeps conversations for longer than the gateway does reads its database here. */
async function history(channel) {
  const { customs, generations } = await gateway(`/v1/channels/${channel}`).catch((error) => {
    if (error.status === 404 || error.status === 410) return { customs: [], generations: [] };
    throw error;
  });
  const turns = customs.flatMap(({ data }) => [
    { role: "user", content: data.text },
    { role: "assistant", content: generations.find((one) => one.generation === data.generation)?.text },
  ]);
  return turns.filter(({ content }) => content);
}

/** Signing in would stand here: who asks decides which channels there are. */
function userOf(request, response) {
  const known = /(?:^|; )user=([\w-]{36})(?:;|$)/.exec(request.headers.cookie ?? "")?.[1];
  const user = known ?? randomUUID();
  if (!known) response.setHeader("set-cookie", `user=${user}; HttpOnly; SameSite=Lax; Path=/; Max-Age=31536000`);
  return user;
}

async function body(request) {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += chunk;
    if (text.length > 2 * TEXT_MAX) break;
  }
  return JSON.parse(text);
}

async function api(request, response) {
  const user = userOf(request, response);
  const chat = /^\/api\/chats\/([\w-]{1,64})$/.exec(request.url)?.[1];
  if (request.method === "GET" && request.url === "/api/session") return session(user);
  if (request.method === "POST" && chat) {
    const { text } = await body(request);
    if (typeof text === "string" && text.trim() && text.length <= TEXT_MAX) return ask(`${user}.${chat}`, text);
  }
  throw Object.assign(new Error("no such thing to ask"), { status: 400 });
}

const server = createServer(async (request, response) => {
  if (!request.url.startsWith("/api/")) return pages(request, response);
  const answer = await api(request, response).catch((error) => {
    response.statusCode = error.status ?? 502;
    return { error: error.cause?.code === "ECONNREFUSED" ? `no gateway at ${GATEWAY}` : error.message };
  });
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(answer));
});

/** The page: what `npm run build` made of it, or as it is being worked on. */
async function page() {
  if (process.env.NODE_ENV === "production") return (await import("sirv")).default("dist");
  const { createServer: createVite } = await import("vite");
  return (await createVite({ server: { middlewareMode: true, hmr: { server } } })).middlewares;
}

const pages = await page();
server.listen(PORT, "127.0.0.1", () => console.log(`http://localhost:${server.address().port}`));

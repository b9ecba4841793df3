// Gateways to test against: the program that TOKENWAY_BIN names, on loopback ports of its own, and the player beside it.

import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";

// What random trials derive from; set it to repeat a run.
export const SEED = Number(process.env.TOKENWAY_SEED ?? Math.floor(Math.random() * 2 ** 32));
const READY_MS = 20_000;

/** The official SDK as an app has it: only the base URL is ours. Retries would hide what a test looks for. */
export function sdk(baseURL, apiKey = "sk-of-the-app") {
  return new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
}

/** Why tests that need a gateway are left out, or false. Where nothing may be left out they run, and fail. */
export const leftOut =
  !process.env.TOKENWAY_BIN && !process.env.TOKENWAY_NOTHING_SKIPPED && "TOKENWAY_BIN does not name a gateway";

/** Starts a gateway; `stop` ends it. */
export async function startGateway(...args) {
  const program = process.env.TOKENWAY_BIN;
  if (!program) throw new Error("TOKENWAY_BIN does not name a gateway");
  const http = `127.0.0.1:${await freeTcp()}`;
  const child = spawn(program, [...args, "--http", http, "--webtransport", `127.0.0.1:${await freeUdp()}`], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(child, "exit");
  const until = Date.now() + READY_MS;
  while (!(await isReady(`http://${http}/readyz`))) {
    if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode} before it was ready`);
    if (Date.now() > until) {
      child.kill("SIGKILL");
      throw new Error(`the gateway was not ready after ${READY_MS} ms`);
    }
    await sleep(20);
  }
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  return { origin: `http://${http}`, url: `http://${http}/v1`, stop };
}

/** Starts a gateway whose every provider is the player, in a dialect each; each dialect is a model's name. */
export async function startPlayedGateway(player) {
  const folder = await mkdtemp(join(tmpdir(), "tokenway-"));
  const config = join(folder, "tokenway.yaml");
  await writeFile(
    config,
    `version: 1
providers:
  player: { dialect: openai, base_url: "${player.origin}/v1", api_key: sk-of-the-gateway }
  openai: { dialect: openai, base_url: "${player.origin}/v1", api_key: sk-of-the-gateway }
  responses: { dialect: responses, base_url: "${player.origin}/v1", api_key: sk-of-the-gateway }
  anthropic: { dialect: anthropic, base_url: "${player.origin}", api_key: sk-of-the-gateway }
  gemini: { dialect: gemini, base_url: "${player.origin}", api_key: sk-of-the-gateway }
models:
  played: { targets: [ { provider: player, model: played-model } ] }
  embedder: { targets: [ { provider: player, model: embedder } ] }
  openai: { targets: [ { provider: openai, model: played-model } ] }
  responses: { targets: [ { provider: responses, model: played-model } ] }
  anthropic: { targets: [ { provider: anthropic, model: played-model } ] }
  gemini: { targets: [ { provider: gemini, model: played-model } ] }
channels:
  on_disconnect: { policy: cancel }
`,
  );
  const gateway = await startGateway("serve", "--config", config);
  const stop = async () => {
    await gateway.stop();
    await rm(folder, { recursive: true });
  };
  return { ...gateway, stop };
}

/** Starts the provider that plays recordings. */
export async function startPlayer() {
  const program = fileURLToPath(new URL("../player.py", import.meta.url));
  const child = spawn("python3", [program], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const [line] = await once(createInterface(child.stdout), "line");
  const { port, recordings } = JSON.parse(line);
  const origin = `http://127.0.0.1:${port}`;
  const seen = async () => (await fetch(`${origin}/seen`)).json();
  const stop = async () => {
    child.stdin.end();
    await ended;
  };
  return { origin, url: `${origin}/v1`, recordings: recordings.openai, seen, stop };
}

/** A message that tells the player what to do. */
export function wish(what) {
  return [{ role: "user", content: JSON.stringify(what) }];
}

/** Every value of an async iterable. */
export async function collect(iterable) {
  const all = [];
  for await (const one of iterable) all.push(one);
  return all;
}

/** Numbers in [0, 1) that follow from a seed (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function isReady(url) {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

async function freeTcp() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function freeUdp() {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

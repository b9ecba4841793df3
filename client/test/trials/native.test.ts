// The native subscriber, as `tokenway tail`, on a machine whose address is taken away and given back as another one: QUIC
// follows it, and the session goes on.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gateway } from "../browser/gateway.js";
import { until } from "./browser/browser.js";
import { Namespace } from "./net/namespace.js";

const OFF_MS = 300;

let namespace: Namespace;
let gateway: Gateway;

beforeAll(async () => {
  namespace = await Namespace.make(96);
  gateway = await Gateway.start({ host: namespace.outside });
});

afterAll(async () => {
  await gateway?.stop();
  await namespace?.remove();
});

/** Begins a generation that nobody has to read. */
async function begin(): Promise<string> {
  const headers = { "content-type": "application/json" };
  const models = await (await fetch(`${gateway.url}/v1/models`)).json();
  const model = (models as { data: { id: string }[] }).data[0]?.id;
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { ...headers, prefer: "respond-async" },
    body: JSON.stringify({ model, stream: true, messages: [{ role: "user", content: "Go on." }] }),
  });
  return ((await response.json()) as { channel: string }).channel;
}

describe("the native subscriber", () => {
  it("keeps its session when its machine gets another address", async () => {
    const id = await begin();
    const binary = process.env.TOKENWAY_BIN ?? "";
    const args = ["netns", "exec", namespace.name, binary, "tail", id, "--json"];
    const tail: ChildProcess = spawn("ip", [...args, "--url", gateway.url]);
    const ended = once(tail, "exit");
    const seqs: number[] = [];
    const times: number[] = [];
    let text = "";
    let rest = "";
    tail.stdout?.on("data", (bytes: Buffer) => {
      const lines = (rest + bytes.toString()).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const event = JSON.parse(line) as { event: string; seq: number; text?: string };
        seqs.push(event.seq);
        times.push(performance.now());
        if (event.event === "text") text += event.text;
      }
    });
    await until("events", 10_000, async () => (seqs.length > 20 ? true : undefined));
    await namespace.swapAddress(OFF_MS);
    const back = performance.now();
    const before = times.filter((time) => time < back).length;
    const [code] = await ended;
    expect(code).toBe(0);
    const kept = await gateway.channel(id);
    expect(seqs).toEqual(Array.from({ length: kept.last_seq }, (_, at) => at + 1));
    expect(Buffer.from(text)).toEqual(Buffer.from(kept.generations[0]?.text ?? ""));
    expect(times.length).toBeGreaterThan(before);
    // It moved: nobody connected again.
    expect((await gateway.sessions()).ever).toBe(1);
    const gap = (times[before] ?? 0) - back;
    console.log(
      `native, address swapped after ${OFF_MS} ms without one: events ${gap.toFixed(0)} ms after`,
    );
  });
});

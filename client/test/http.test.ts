// The client over SSE and long polling: real sockets against the gateway's HTTP interface, and the same text as over any
// other carrier, whatever the network does.

import { afterEach, describe, expect, it, vi } from "vitest";
import { type Batch, type Channel, connect, longpoll, sse, type Transport } from "../src/index.js";
import { seeded } from "./support/clock.js";
import { HttpGateway } from "./support/http.js";

const gateways: HttpGateway[] = [];
const clients: { close(): void }[] = [];

async function world(transports: readonly Transport[] = [sse, longpoll], random?: () => number) {
  const gateway = await HttpGateway.start(random);
  gateways.push(gateway);
  const client = connect({ info: gateway.info, transports, schedule: (work) => setTimeout(work) });
  clients.push(client);
  return { gateway, client };
}

afterEach(async () => {
  vi.unstubAllGlobals();
  for (const client of clients.splice(0)) client.close();
  for (const gateway of gateways.splice(0)) await gateway.stop();
});

const textOf = (channel: Channel): string =>
  channel.getSnapshot().generations[0]?.text.toString() ?? "";

/** Follows the batches as a user would who keeps the text by hand. */
async function follow(channel: Channel, into: { text: string; seqs: number[] }): Promise<void> {
  for await (const batch of channel) take(batch, into);
}

function take(batch: Batch, into: { text: string; seqs: number[] }): void {
  if (batch.kind === "events") {
    batch.events.forEach((event, at) => {
      into.text += event.text;
      into.seqs.push(batch.firstSeq + at);
    });
  } else if (batch.kind === "snapshot") {
    into.text = batch.state.generations[0]?.text.toString() ?? "";
    into.seqs = [];
  }
}

const until = (holds: () => boolean): Promise<void> =>
  vi.waitFor(() => expect(holds()).toBe(true), { timeout: 20_000, interval: 5 });

describe.each([
  ["sse", sse],
  ["longpoll", longpoll],
] as const)("over %s", (kind, transport) => {
  it("reads a channel from the beginning to its end, and is told that it is the end", async () => {
    const { gateway, client } = await world([transport]);
    const log = gateway.channel("c");
    log.begin("gen_1");
    log.say("Hel");
    const channel = client.subscribe("c");
    const got = { text: "", seqs: [] as number[] };
    const done = follow(channel, got);
    await until(() => textOf(channel) === "Hel");
    expect(client.status.getSnapshot()).toMatchObject({ state: "live", transport: kind });
    expect(channel.getSnapshot().generations[0]?.started).toMatchObject({
      id: "gen_1",
      model: "m",
    });
    log.say("lo 🦊");
    gateway.tick();
    await until(() => textOf(channel) === "Hello 🦊");
    log.end("finished");
    log.closed = true;
    gateway.tick();
    await done;
    expect(got).toEqual({ text: "Hello 🦊", seqs: [1, 2, 3, 4] });
    await until(() => channel.getSnapshot().status === "ended");
    expect(channel.getSnapshot()).toMatchObject({ end: "complete", seq: 4 });
    expect(channel.getSnapshot().generations[0]).toMatchObject({ state: "finished" });
    // A closed head answers nothing but that.
    const again = client.subscribe("c", { from: { epoch: log.epoch, seq: 4 } });
    await until(() => again.getSnapshot().status === "ended");
  });

  it("loses and doubles nothing under cuts, refusals, take-overs and trimming", async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = seeded(seed);
      const { gateway, client } = await world([transport], random);
      const from = ["beginning", "snapshot", "beginning"] as const;
      const logs = from.map((_, at) => gateway.channel(`c${at}`));
      for (const log of logs) log.begin("gen_1");
      const channels = from.map((place, at) => client.subscribe(`c${at}`, { from: place }));
      const texts = channels.map(() => ({ text: "", seqs: [] as number[] }));
      const done = channels.map((channel, at) => follow(channel, texts[at] ?? (texts[0] as never)));
      Object.assign(gateway.faults, { cut: 0.03, refuse: 0.05, rotateAfter: 40 });
      for (let round = 0, epoch = 2; round < 25; round++) {
        for (const log of logs) {
          const count = Math.floor(random() * 6);
          for (let n = 0; n < count; n++) log.say(`${log.id}:${log.last + 1}:${log.epoch} `);
        }
        gateway.tick();
        await new Promise((resolve) => setTimeout(resolve, random() * 30));
        const dice = random();
        const log = logs[Math.floor(random() * 2)];
        if (dice < 0.1) gateway.cut();
        else if (dice < 0.15) client.dropConnection(random() * 100);
        else if (dice < 0.25 && log) {
          log.takeOver(`0000000${epoch++}`, Math.max(1, log.last - Math.floor(random() * 8)));
        } else if (dice < 0.35 && log) log.trimmed = Math.floor(random() * (log.last + 1));
      }
      Object.assign(gateway.faults, { cut: 0, refuse: 0 });
      for (const log of logs) {
        log.end("finished");
        log.closed = true;
      }
      gateway.tick();
      await Promise.all(done);
      logs.forEach((log, at) => {
        const channel = channels[at];
        expect(channel && textOf(channel), `seed ${seed}`).toBe(log.text());
        const { text = "", seqs = [] } = texts[at] ?? {};
        expect(text, `seed ${seed}`).toBe(log.text());
        expect(seqs).toEqual(seqs.map((_, n) => (seqs[0] ?? 0) + n));
        expect(channel?.getSnapshot().seq).toBe(log.last);
      });
      client.close();
    }
  });

  it("publishes, cancels, and says what was refused", async () => {
    const { gateway, client } = await world([transport]);
    const log = gateway.channel("a b");
    const channel = client.subscribe("a b", { from: "tail" });
    const seq = (await client.publish("a b", { type: "note", data: { a: [1, "ü"] } })).seq;
    expect(seq).toBe(1);
    await until(() => channel.getSnapshot().customs.length === 1);
    expect(channel.getSnapshot().customs).toEqual([
      { seq: 1, type: "note", data: { a: [1, "ü"] } },
    ]);
    await channel.cancel("gen_1");
    expect(gateway.posted.at(-1)).toMatchObject({ body: { generation: "gen_1" } });
    expect(log.last).toBe(2);
    const error = { name: "RequestError", code: "channel_not_found", retryable: false };
    await expect(client.cancel("nowhere")).rejects.toMatchObject(error);
    const missing = client.subscribe("nowhere");
    await expect(follow(missing, { text: "", seqs: [] })).rejects.toMatchObject(error);
    channel.detach();
    await until(() => gateway.open === 0);
    expect(client.status.getSnapshot().state).toBe("live");
  });

  it("takes a snapshot where its cursor is none of the channel's or ahead of it", async () => {
    const { gateway, client } = await world([transport]);
    const log = gateway.channel("c", "0000000a");
    log.say("all of it");
    const strange = client.subscribe("c", { from: { epoch: "00000009", seq: 1 } });
    const ahead = client.subscribe("c", { from: { epoch: "0000000a", seq: 99 } });
    await until(() => textOf(strange) === "all of it" && textOf(ahead) === "all of it");
    expect(strange.metrics()).toMatchObject({ snapshots: 1, attachments: 2 });
  });

  it("says that a channel was deleted or expired, while it is read and later", async () => {
    const { gateway, client } = await world([transport]);
    gateway.channel("c").say("x");
    gateway.faults.rotateAfter = 2;
    const channel = client.subscribe("c");
    await until(() => textOf(channel) === "x");
    gateway.logs.delete("c");
    gateway.tick();
    await until(() => channel.getSnapshot().status === "ended");
    expect(channel.getSnapshot().end).toBe("deleted");
  });

  it("tries every token that it has, and those that come later", async () => {
    const { gateway, client } = await world([transport]);
    gateway.faults.tokens = ["right"];
    gateway.channel("c").say("x");
    const early = client.subscribe("c");
    await expect(follow(early, { text: "", seqs: [] })).rejects.toMatchObject({
      name: "AccessError",
      code: "unauthorized",
    });
    client.addTokens("right", "wrong");
    const late = client.subscribe("c");
    await until(() => textOf(late) === "x");
  });

  it("goes on with a newer token where the one that was good has run out under way", async () => {
    const { gateway, client } = await world([transport]);
    // Streams that end again and again ask again and again, as polls do, on the same connection.
    Object.assign(gateway.faults, { tokens: ["old"], rotateAfter: 1 });
    client.addTokens("old");
    const log = gateway.channel("c");
    log.say("a");
    const channel = client.subscribe("c");
    await until(() => textOf(channel) === "a");
    // The old one still holds, and what is answered from here on makes it the one that was good.
    client.addTokens("new");
    log.say("b");
    gateway.tick();
    await until(() => textOf(channel) === "ab");
    gateway.faults.tokens = ["new"];
    log.say("c");
    gateway.tick();
    await until(() => textOf(channel) === "abc");
    expect(channel.getSnapshot().status).toBe("open");
  });
});

describe("a browser's few connections", () => {
  it("are not all taken: many channels take turns, and all are read to their ends", async () => {
    // As far as connections go, this is a browser and HTTP/1.1.
    vi.stubGlobal("WorkerGlobalScope", class {});
    const { gateway, client } = await world([sse]);
    const logs = Array.from({ length: 12 }, (_, at) => gateway.channel(`c${at}`));
    const channels = logs.map((log) => client.subscribe(log.id));
    for (let round = 0; round < 5; round++) {
      for (const log of logs) log.say(`${round} `);
      gateway.tick();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const published = client.publish("c0", { type: "note", data: 1 });
    await until(() => channels.every((one, at) => textOf(one) === logs[at]?.text()));
    await published;
    expect(gateway.most).toBeLessThanOrEqual(6);
    for (const log of logs) log.closed = true;
    gateway.tick();
    await until(() => channels.every((one) => one.getSnapshot().status === "ended"));
  });
});

describe("the carriers' order", () => {
  it("is SSE, then the long poll, where something on the way holds streams back", async () => {
    const { gateway, client } = await world();
    gateway.faults.hold = true;
    gateway.channel("c").say("x");
    const channel = client.subscribe("c");
    await until(() => textOf(channel) === "x");
    expect(client.status.getSnapshot()).toMatchObject({ state: "live", transport: "longpoll" });
    expect(gateway.asked.some((one) => one.includes("wait="))).toBe(true);
  }, 60_000);

  it("is WebSocket before both, and without it SSE serves: Node 20 out of the box", async () => {
    vi.stubGlobal("WebSocket", undefined);
    const gateway = await HttpGateway.start();
    gateways.push(gateway);
    gateway.channel("c").say("x");
    // Nothing but a URL, as in the README.
    const client = connect({ url: gateway.url });
    clients.push(client);
    for await (const batch of client.subscribe("c")) {
      expect(batch).toMatchObject({ kind: "events", firstSeq: 1 });
      break;
    }
    await until(() => client.status.getSnapshot().transport === "sse");
  });
});

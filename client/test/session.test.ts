// The whole client over the memory transport, in time that is turned by hand, against the fake gateway's logs.

import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { type Batch, type Channel, connect } from "../src/index.js";
import { Acks } from "../src/wire/acks.js";
import { ManualClock } from "./support/clock.js";
import type { Log } from "./support/gateway.js";
import { INFO, world } from "./support/world.js";

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

describe("a client", () => {
  it("reads a channel from the beginning to its end", async () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("c");
    for (const word of ["Hel", "lo ", "wor", "ld"]) log.say(word);
    const channel = client.subscribe("c");
    const got = { text: "", seqs: [] as number[] };
    const done = follow(channel, got);
    run(100);
    log.say("!");
    log.closed = true;
    run(200);
    await done;
    expect(got).toEqual({ text: "Hello world!", seqs: [1, 2, 3, 4, 5] });
    expect(textOf(channel)).toBe("Hello world!");
    expect(channel.getSnapshot()).toMatchObject({ status: "ended", end: "complete", seq: 5 });
  });

  it("delivers every event exactly once under drops, repeats, gaps, take-overs and trimming", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const { random, gateway, network, client, clock, run } = world(seed);
        network.weather.latencyMs = [1, 120];
        gateway.faults.repeat = 0.1;
        gateway.faults.skip = 0.05;
        const logs: Log[] = [];
        const channels: Channel[] = [];
        const texts: { text: string; seqs: number[] }[] = [];
        const done: Promise<void>[] = [];
        for (let at = 0; at < 3; at++) {
          logs.push(gateway.channel(`c${at}`));
          const channel = client.subscribe(`c${at}`, { from: at === 2 ? "snapshot" : "beginning" });
          const into = { text: "", seqs: [] as number[] };
          channels.push(channel);
          texts.push(into);
          done.push(follow(channel, into));
        }
        for (let round = 0, epoch = 2; round < 40; round++) {
          for (const log of logs) {
            const count = Math.floor(random() * 6);
            for (let n = 0; n < count; n++) log.say(`${log.id}:${log.last + 1}:${log.epoch} `);
          }
          run(random() * 200);
          const dice = random();
          const log = logs[Math.floor(random() * logs.length)];
          if (dice < 0.15) network.cut();
          else if (dice < 0.25) client.dropConnection(random() * 400);
          else if (dice < 0.35) gateway.tell({ case: "goAway", value: { graceMs: 1_000 } });
          else if (dice < 0.42 && log) {
            log.takeOver(`e${epoch++}`, Math.max(0, log.last - Math.floor(random() * 8)));
          } else if (dice < 0.5 && log) log.trimmed = Math.floor(random() * (log.last + 1));
          // Lets whoever iterates take what has come.
          await Promise.resolve();
        }
        gateway.faults.repeat = 0;
        gateway.faults.skip = 0;
        for (const log of logs) log.closed = true;
        run(6_000);
        clock.advance(100);
        await Promise.all(done);
        logs.forEach((log, at) => {
          const channel = channels[at];
          expect(channel && textOf(channel)).toBe(log.text());
          const { seq, epoch = "" } = channel?.getSnapshot() ?? {};
          expect(seq).toBe(log.last);
          // With nothing new since a take-over the old epoch is still a right name for this place.
          expect(epoch === log.epoch || (log.before.get(epoch) ?? -1) >= log.last).toBe(true);
          expect(texts[at]?.text).toBe(log.text());
          const seqs = texts[at]?.seqs ?? [];
          expect(seqs).toEqual(seqs.map((_, n) => (seqs[0] ?? 0) + n));
        });
        client.close();
      }),
      { numRuns: 150 },
    );
  });

  it("does the same by datagram under loss, re-ordering, doubling and cuts", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const { random, gateway, network, client, clock, run } = world(seed);
        Object.assign(network.weather, { latencyMs: [1, 90], loss: 0.2, doubling: 0.1 });
        gateway.faults.big = 0.1;
        const logs = ["beginning", "snapshot", "tail"].map((from) => gateway.channel(from));
        const channels = (["beginning", "snapshot", "tail"] as const).map((from) =>
          client.subscribe(from, { from, delivery: "datagram" }),
        );
        const texts = channels.map(() => ({ text: "", seqs: [] as number[] }));
        const done = channels.map((channel, at) =>
          follow(channel, texts[at] ?? { text: "", seqs: [] }),
        );
        let took = false;
        for (let round = 0, epoch = 2; round < 40; round++) {
          for (const log of logs) {
            const count = Math.floor(random() * 6);
            for (let n = 0; n < count; n++) log.say(`${log.id}:${log.last + 1}:${log.epoch} `);
          }
          run(random() * 200);
          const dice = random();
          const log = logs[Math.floor(random() * 2)];
          if (dice < 0.1) network.cut();
          else if (dice < 0.15) client.dropConnection(random() * 400);
          else if (dice < 0.2) gateway.tell({ case: "goAway", value: { graceMs: 1_000 } });
          else if (dice < 0.25 && log) {
            log.takeOver(`e${epoch++}`, Math.max(0, log.last - Math.floor(random() * 8)));
            took = true;
          } else if (dice < 0.3 && log) log.trimmed = Math.floor(random() * (log.last + 1));
          await Promise.resolve();
        }
        for (const log of logs) {
          log.end("finished");
          log.closed = true;
        }
        run(6_000);
        clock.advance(100);
        await Promise.all(done);
        logs.forEach((log, at) => {
          const channel = channels[at];
          const { text = "", seqs = [] } = texts[at] ?? {};
          const shown = (channel && textOf(channel)) ?? "";
          // A tail begins wherever the gateway was when it asked.
          expect(at === 2 ? log.text().endsWith(shown) : shown === log.text()).toBe(true);
          expect(text).toBe(shown);
          expect(channel?.getSnapshot().seq).toBe(log.last);
          expect(seqs).toEqual(seqs.map((_, n) => (seqs[0] ?? 0) + n));
          const { datagrams = 0, gaps = 0 } = channel?.metrics() ?? {};
          expect(datagrams).toBeGreaterThan(0);
          // What comes out of its turn is no error.
          if (!took) expect(gaps).toBe(0);
        });
        client.close();
      }),
      { numRuns: 150 },
    );
  });

  it("acknowledges by datagram, so that what arrived is not sent for ever", () => {
    const { gateway, network, client, run } = world();
    network.weather.latencyMs = [5, 5];
    const log = gateway.channel("c");
    const channel = client.subscribe("c", { delivery: "datagram" });
    run(200);
    for (let at = 0; at < 100; at++) {
      log.say("x");
      run(32);
    }
    run(500);
    expect(textOf(channel)).toHaveLength(100);
    const { datagrams, frames } = channel.metrics();
    // All by datagram, and none a third time: each frame was acknowledged before.
    expect(frames - datagrams).toBe(0);
    expect(datagrams).toBeLessThan(250);
  });

  it("gets by the stream what no datagram brought", () => {
    const { gateway, network, client, run } = world();
    network.weather.loss = 1;
    const log = gateway.channel("c");
    const channel = client.subscribe("c", { delivery: "datagram" });
    run(100);
    for (const word of ["a", "b", "c"]) {
      log.say(word);
      run(16);
    }
    expect(textOf(channel)).toBe("");
    run(300);
    expect(textOf(channel)).toBe("abc");
    expect(channel.metrics()).toMatchObject({ datagrams: 0, duplicates: 0, gaps: 0 });
  });

  it("takes a gap on the stream for an error where datagrams were not granted", () => {
    const { gateway, client, run } = world(5);
    gateway.datagrams = false;
    const log = gateway.channel("c");
    const channel = client.subscribe("c", { delivery: "datagram" });
    run(100);
    log.say("a");
    run(32);
    gateway.faults.skip = 1;
    for (const word of ["b", "c", "d"]) log.say(word);
    run(32);
    gateway.faults.skip = 0;
    run(300);
    expect(textOf(channel)).toBe("abcd");
    expect(channel.metrics().datagrams).toBe(0);
    expect(channel.metrics().gaps).toBeGreaterThan(0);
  });

  it("does without duplicates and gaps where the gateway makes no mistakes", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const { random, gateway, network, client, run } = world(seed);
        network.weather.latencyMs = [1, 60];
        const log = gateway.channel("c");
        const channel = client.subscribe("c");
        for (let round = 0; round < 30; round++) {
          log.say(`${round} `);
          run(random() * 150);
          if (random() < 0.2) network.cut();
        }
        run(3_000);
        expect(textOf(channel)).toBe(log.text());
        expect(channel.metrics()).toMatchObject({ duplicates: 0, gaps: 0 });
      }),
      { numRuns: 100 },
    );
  });

  it("is back within a few round trips and says how long it took", () => {
    const { gateway, network, client, run } = world();
    const log = gateway.channel("c");
    const channel = client.subscribe("c");
    log.say("one ");
    run(200);
    network.cut();
    log.say("two ");
    run(200);
    expect(textOf(channel)).toBe("one two ");
    expect(client.status.getSnapshot().recoveries).toMatchObject([{ cause: "lost", offMs: 0 }]);
    client.dropConnection(5_000);
    log.say("three");
    run(4_900);
    expect(textOf(channel)).toBe("one two ");
    expect(client.status.getSnapshot().state).toBe("waiting");
    run(400);
    expect(textOf(channel)).toBe("one two three");
    const last = client.status.getSnapshot().recoveries.at(-1);
    expect(last).toMatchObject({ cause: "dropped", offMs: 5_000 });
    expect(last?.totalMs).toBeGreaterThan(5_000);
    expect(last?.recoveryMs).toBeLessThan(100);
  });

  it("notices a path that went silent within little more than a second", () => {
    const { gateway, network, client, run } = world();
    gateway.channel("c");
    client.subscribe("c");
    run(2_000);
    expect(client.status.getSnapshot().state).toBe("live");
    network.weather.silent = true;
    run(800);
    expect(client.status.getSnapshot().state).toBe("live");
    run(700);
    expect(client.status.getSnapshot().state).toBe("connecting");
    network.weather.silent = false;
    run(800);
    expect(client.status.getSnapshot().state).toBe("live");
  });

  it("does not blame the path for a thread that slept", () => {
    const { gateway, client, clock, run } = world();
    gateway.channel("c");
    client.subscribe("c");
    run(1_000);
    const hellos = gateway.hellos.length;
    clock.sleep(20_000);
    run(2_000);
    expect(client.status.getSnapshot().state).toBe("live");
    expect(gateway.hellos).toHaveLength(hellos);
  });

  it("changes over on goAway before it leaves", () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("c");
    const channel = client.subscribe("c");
    run(200);
    gateway.tell({ case: "goAway", value: { graceMs: 1_000 } });
    const states = new Set<string>();
    for (let at = 0; at < 20; at++) {
      log.say(`${at} `);
      run(16);
      states.add(client.status.getSnapshot().state);
    }
    run(100);
    expect([...states]).toEqual(["live"]);
    expect(gateway.hellos).toHaveLength(2);
    expect(textOf(channel)).toBe(log.text());
    expect(channel.metrics()).toMatchObject({ duplicates: 0, gaps: 0, attachments: 2 });
    expect(client.status.getSnapshot().recoveries).toEqual([]);
  });

  it("shows what the old link brings for as long as the new one is not welcomed", () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("c");
    const channel = client.subscribe("c");
    run(200);
    gateway.welcomes = false;
    gateway.tell({ case: "goAway", value: { graceMs: 60_000 } });
    run(100);
    // It goes to the new link, and to the old one once that comes to nothing.
    const other = gateway.channel("other");
    other.say("there");
    const later = client.subscribe("other");
    for (let at = 0; at < 60; at++) {
      log.say(`${at} `);
      run(100);
      expect(textOf(channel)).toBe(log.text());
    }
    expect(gateway.hellos.length).toBeGreaterThan(3);
    expect(textOf(later)).toBe("there");
    expect(client.status.getSnapshot().state).toBe("live");
    gateway.welcomes = true;
    run(2_000);
    log.say("!");
    run(100);
    expect(textOf(channel)).toBe(log.text());
    expect(channel.metrics()).toMatchObject({ gaps: 0, snapshots: 0 });
    expect(client.status.getSnapshot().recoveries).toEqual([]);
  });

  it("repeats a cancel that the old link has swallowed", async () => {
    const { gateway, client, network, run } = world();
    gateway.channel("c");
    run(100);
    network.weather.silent = true;
    const cancelled = client.cancel("c", "gen_a");
    const published = expect(client.publish("c", { type: "note", data: 1 })).rejects.toMatchObject({
      code: "connection_lost",
    });
    run(50);
    network.weather.silent = false;
    gateway.tell({ case: "goAway", value: { graceMs: 1_000 } });
    run(200);
    expect(gateway.cancelled).toEqual(["c"]);
    await cancelled;
    await published;
  });

  it("stops what runs and not what begins later, where a stop of all gets through late", async () => {
    const { gateway, client, network, run } = world();
    const log = gateway.channel("c");
    log.begin("gen_a");
    const channel = client.subscribe("c");
    run(200);
    network.weather.silent = true;
    const asked: (string | undefined)[] = [];
    const cancel = client.cancel.bind(client);
    client.cancel = (id, generation) => {
      asked.push(generation);
      return cancel(id, generation);
    };
    const cancelled = channel.cancel();
    run(1_600);
    network.weather.silent = false;
    run(800);
    await cancelled;
    expect(asked).toEqual(["gen_a"]);
  });

  it("calls every listener, whatever one of them throws", () => {
    const thrown: unknown[] = [];
    const queued = vi.spyOn(globalThis, "queueMicrotask").mockImplementation((work) => {
      try {
        work();
      } catch (error) {
        thrown.push(error);
      }
    });
    const { gateway, client, run } = world();
    const channels = ["a", "b"].map((id) => {
      gateway.channel(id).say("text");
      return client.subscribe(id);
    });
    const called: string[] = [];
    for (const channel of channels) {
      channel.subscribe(() => {
        called.push(channel.id);
        throw new Error(`of ${channel.id}`);
      });
      channel.subscribe(() => called.push(`${channel.id} again`));
    }
    run(100);
    queued.mockRestore();
    expect(new Set(called)).toEqual(new Set(["a", "a again", "b", "b again"]));
    expect(channels.map(textOf)).toEqual(["text", "text"]);
    expect(thrown.map(String)).toContain("Error: of a");
  });

  it("says why it does not connect", async () => {
    const { client, network, run } = world();
    run(100);
    expect(client.status.getSnapshot().failure).toBeUndefined();
    network.weather.refusing = true;
    network.cut();
    run(200);
    expect(client.status.getSnapshot()).toMatchObject({ failure: "refused" });
    network.weather.refusing = false;
    run(1_000);
    expect(client.status.getSnapshot()).toMatchObject({ state: "live", failure: undefined });
    const clock = new ManualClock();
    const down = connect({
      info: INFO,
      transports: [network.transport],
      clock,
      schedule: (work) => work(),
      tokens: async () => {
        throw new Error("no tokens today");
      },
    });
    await vi.dynamicImportSettled();
    await new Promise((resolve) => setImmediate(resolve));
    expect(down.status.getSnapshot().failure).toMatchObject({ message: "no tokens today" });
  });

  it("refuses a url that can never be reached, and says what one is", () => {
    for (const url of ["localhost:8080", "/gateway", "ftp://gateway.example", ""]) {
      expect(() => connect({ url }), url).toThrow(/connect needs a url with http, not /);
    }
    expect(() => connect({ url: "/gw" })).toThrow(expect.objectContaining({ code: "bad_request" }));
    connect({ url: "HTTPS://GATEWAY.example", transports: [] }).close();
  });

  it("acknowledges nothing of a channel that has ended", () => {
    const { gateway, client, run } = world();
    const ids = Array.from({ length: 50 }, (_, at) => `c${at}`);
    for (const id of ids) {
      const log = gateway.channel(id);
      log.say("all there is");
      log.closed = true;
      client.subscribe(id, { delivery: "datagram" });
    }
    run(1_000);
    const sent = vi.spyOn(Acks, "encode");
    run(3_000);
    expect(sent).not.toHaveBeenCalled();
    sent.mockRestore();
  });

  it("fails a channel that does not exist, and only that one", async () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("here");
    log.say("x");
    const missing = client.subscribe("nowhere");
    const here = client.subscribe("here");
    run(100);
    await expect(follow(missing, { text: "", seqs: [] })).rejects.toMatchObject({
      code: "channel_not_found",
      retryable: false,
    });
    expect(missing.getSnapshot().status).toBe("failed");
    expect(textOf(here)).toBe("x");
  });

  it("takes a snapshot where its epoch is none of the channel's", () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("c", "new");
    log.say("all of it");
    const channel = client.subscribe("c", { from: { epoch: "forgotten", seq: 9 } });
    run(200);
    expect(textOf(channel)).toBe("all of it");
    expect(channel.getSnapshot()).toMatchObject({ epoch: "new", seq: 1 });
    expect(channel.metrics()).toMatchObject({ snapshots: 1, attachments: 2 });
  });

  it("follows the tail only", () => {
    const { gateway, client, network, run } = world();
    const log = gateway.channel("c");
    log.say("before ");
    const channel = client.subscribe("c", { from: "tail" });
    run(100);
    network.cut();
    log.say("after");
    run(300);
    expect(textOf(channel)).toBe("after");
  });

  it("repeats a cancel after a drop and does not repeat a publish", async () => {
    const { gateway, client, network, run } = world();
    gateway.channel("c");
    run(100);
    network.weather.silent = true;
    const cancelled = client.cancel("c", "gen_a");
    // One that begins later must not be stopped by a word that was said before it.
    const all = expect(client.cancel("c")).rejects.toMatchObject({ code: "connection_lost" });
    const published = client.publish("c", { type: "note", data: { a: 1 } });
    const lost = expect(published).rejects.toMatchObject({
      code: "connection_lost",
      retryable: true,
    });
    run(1_600);
    network.weather.silent = false;
    run(800);
    await cancelled;
    await all;
    await lost;
    expect(gateway.cancelled).toEqual(["c"]);
    const again = client.publish("c", { type: "note", data: { a: 1 } });
    run(100);
    // After what the stop has said.
    expect(await again).toMatchObject({ channel: "c", seq: 2 });
  });

  it("stops for good when the gateway says so, and goes on when it says retry", async () => {
    const { gateway, client, run } = world();
    gateway.channel("c");
    const channel = client.subscribe("c");
    run(100);
    gateway.closing("shutdown", true);
    run(500);
    expect(client.status.getSnapshot().state).toBe("live");
    gateway.closing("protocol_unsupported", false);
    run(100);
    expect(client.status.getSnapshot()).toMatchObject({
      state: "closed",
      error: { code: "protocol_unsupported" },
    });
    expect(channel.getSnapshot().status).toBe("failed");
    await expect(client.cancel("c")).rejects.toMatchObject({ code: "protocol_unsupported" });
  });

  it("tells its listeners at most once a frame, whatever arrives", () => {
    const { gateway, client, clock, run } = world();
    const log = gateway.channel("c");
    const channel = client.subscribe("c");
    run(100);
    let told = 0;
    channel.subscribe(() => {
      told += 1;
    });
    for (let at = 0; at < 160; at++) {
      log.say("x");
      gateway.tick();
      clock.advance(1);
    }
    expect(told).toBeGreaterThan(5);
    expect(told).toBeLessThanOrEqual(11);
    expect(channel.getSnapshot()).toBe(channel.getSnapshot());
  });

  it("leaves without a trace, and nothing that was on its way is counted", () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("c");
    const channel = client.subscribe("c");
    run(100);
    channel.detach();
    log.say("late");
    run(200);
    expect(channel.getSnapshot()).toMatchObject({ status: "detached", seq: 0 });
    expect(client.status.getSnapshot().state).toBe("live");
  });

  it("gives a slow reader one snapshot in place of a queue without end", async () => {
    const { gateway, client, run } = world();
    const log = gateway.channel("c");
    const channel = client.subscribe("c");
    const iterator = channel[Symbol.asyncIterator]();
    for (let at = 0; at < 30_000; at++) log.say("x");
    run(30_000 * 2);
    const first = await iterator.next();
    expect(first.value).toMatchObject({ kind: "snapshot", cause: "lagged" });
    expect(textOf(channel)).toHaveLength(30_000);
  });
});

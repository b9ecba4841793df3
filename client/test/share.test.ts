// Many tabs of one browser on one connection, in time that is turned by hand, against the fake gateway's logs.

import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { type Channel, type Client, connect } from "../src/index.js";
import { Share } from "../src/share/share.js";
import type { Log } from "./support/gateway.js";
import { MemoryBrowser, type MemoryTab } from "./support/tabs.js";
import { ground, INFO } from "./support/world.js";

interface Tab {
  readonly tab: MemoryTab;
  readonly share: Share;
  readonly client: Client;
  readonly channels: Channel[];
}

const open: Client[] = [];

afterEach(() => {
  for (const client of open.splice(0)) client.close();
});

function world(seed = 1) {
  const { random, clock, gateway, network, run } = ground(seed);
  const browser = new MemoryBrowser(clock);
  const newTab = (...channels: string[]): Tab => {
    const tab = browser.tab(network.transport);
    const share = new Share(tab.ground, "name", [tab.transport], tab.clock);
    const schedule = (work: () => void): void => void tab.clock.after(16, work);
    const client = connect({
      info: INFO,
      transports: [share],
      share: false,
      clock: tab.clock,
      random,
      schedule,
    });
    open.push(client);
    return { tab, share, client, channels: channels.map((one) => client.subscribe(one)) };
  };
  return { random, clock, gateway, network, newTab, run };
}

const textOf = (channel: Channel | undefined): string | undefined =>
  channel?.getSnapshot().generations[0]?.text.toString();

const stateOf = ({ client }: Tab) => client.status.getSnapshot().state;

/** Talks while `run` runs. */
function talk(log: Log, run: (ms: number) => void, ms: number): void {
  for (let at = 0; at < ms; at += 32) {
    log.say(`${log.last + 1} `);
    run(32);
  }
}

describe("tabs of one browser", () => {
  it("share one session, in which each has its own subscriptions", () => {
    const { gateway, newTab, run } = world();
    const logs = [gateway.channel("a"), gateway.channel("b")];
    const tabs = [newTab("a", "b"), newTab("b"), newTab("a")];
    run(100);
    for (const log of logs) talk(log, run, 200);
    run(100);
    expect(gateway.sessions).toBe(1);
    expect(tabs.map(({ share }) => share.leads)).toEqual([true, false, false]);
    for (const { channels } of tabs) {
      for (const one of channels) expect(textOf(one)).toBe(gateway.logs.get(one.id)?.text());
    }
    expect(tabs.map(({ client }) => client.status.getSnapshot().transport)).toEqual(
      Array(3).fill("memory"),
    );
  });

  it.each([
    ["closes", ({ client, share }: Tab) => [client.close(), share.close()]],
    ["crashes", ({ tab }: Tab) => tab.crash()],
    ["is frozen", ({ tab }: Tab) => tab.freeze()],
  ])("go on within 100 ms, as one session, when the tab that leads %s", (_how, go) => {
    const { gateway, newTab, run } = world();
    const log = gateway.channel("c");
    const tabs = [newTab("c"), newTab("c"), newTab("c")] as const;
    run(100);
    talk(log, run, 200);
    go(tabs[0]);
    talk(log, run, 96);
    run(32);
    expect(gateway.sessions).toBe(1);
    expect(tabs[1].share.leads).toBe(true);
    for (const { channels } of tabs.slice(1)) {
      expect(textOf(channels[0])).toBe(log.text());
      expect(channels[0]?.metrics()).toMatchObject({ gaps: 0, duplicates: 0 });
    }
  });

  it("take the lead away from a tab that hangs, and take it in again when it is back", () => {
    const { gateway, newTab, run } = world();
    const log = gateway.channel("c");
    const tabs = [newTab("c"), newTab("c"), newTab("c")] as const;
    run(100);
    talk(log, run, 200);
    tabs[0].tab.hang();
    talk(log, run, 2_200);
    for (const { channels } of tabs.slice(1)) expect(textOf(channels[0])).toBe(log.text());
    expect(tabs.slice(1).filter(({ share }) => share.leads)).toHaveLength(1);
    tabs[0].tab.wake();
    run(1_500);
    expect(textOf(tabs[0].channels[0])).toBe(log.text());
    expect(tabs.filter(({ share }) => share.leads)).toHaveLength(1);
    expect(gateway.sessions).toBe(1);
  });

  it("notice a silent path although the tab that leads is hidden, and lead from where somebody looks", () => {
    const { gateway, network, newTab, run } = world();
    const log = gateway.channel("c");
    const hidden = newTab("c");
    run(50);
    const seen = newTab("c");
    run(50);
    hidden.tab.visible = false;
    network.weather.silent = true;
    run(1_200);
    network.weather.silent = false;
    talk(log, run, 800);
    run(100);
    expect(textOf(seen.channels[0])).toBe(log.text());
    expect([hidden, seen].map(({ share }) => share.leads)).toEqual([false, true]);
    run(2_000);
    expect(textOf(hidden.channels[0])).toBe(log.text());
    expect(gateway.sessions).toBe(1);
  });

  it("cancel for all, publish each for itself, and leave without disturbing the others", async () => {
    const { gateway, newTab, run } = world();
    const log = gateway.channel("c");
    const [first, second] = [newTab("c"), newTab("c")];
    run(100);
    const cancelled = second.client.cancel("c", "g");
    const published = [first, second].map(({ client }) =>
      client.publish("c", { type: "t", data: 1 }),
    );
    run(100);
    await cancelled;
    expect((await Promise.all(published)).map(({ seq }) => seq).sort()).toEqual([1, 3]);
    expect(gateway.cancelled).toEqual(["c"]);
    second.channels[0]?.detach();
    log.say("more");
    run(100);
    expect(textOf(first.channels[0])).toBe("more");
    await expect(
      (() => {
        const answer = first.client.publish("nowhere", { type: "t", data: 1 });
        run(100);
        return answer;
      })(),
    ).rejects.toMatchObject({ code: "channel_not_found" });
  });

  it("are all signed out by one of them, those too that cannot reach the gateway", () => {
    const { gateway, network, newTab, run } = world();
    gateway.channel("c");
    const tabs = [newTab("c"), newTab("c"), newTab("c")] as const;
    run(100);
    network.weather.refusing = true;
    network.cut();
    run(100);
    tabs[1].share.signOut();
    tabs[1].client.close();
    run(2_000);
    expect(tabs.map(stateOf)).toEqual(["closed", "closed", "closed"]);
    expect(tabs[0].channels[0]?.getSnapshot()).toMatchObject({
      status: "failed",
      error: { code: "signed_out" },
    });
    expect(gateway.sessions).toBe(0);
  });

  it("are told of the gateway's going away, and have its next session before they leave this one", () => {
    const { gateway, newTab, run } = world();
    const log = gateway.channel("c");
    const tabs = [newTab("c"), newTab("c")];
    run(100);
    talk(log, run, 100);
    gateway.goAway();
    talk(log, run, 200);
    run(100);
    for (const one of tabs) {
      expect(textOf(one.channels[0])).toBe(log.text());
      expect(one.client.status.getSnapshot().recoveries).toEqual([]);
    }
    expect(gateway.sessions).toBe(1);
    expect(gateway.hellos).toHaveLength(2);
  });

  it("move together to a new session when they want one beside the one they have", () => {
    const { gateway, newTab, run } = world();
    gateway.channel("c");
    const tabs = [newTab("c"), newTab("c")];
    run(100);
    let opened = 0;
    const seats = tabs.map(({ share }) => {
      const nothing = (): void => undefined;
      const sink = { message: nothing, frame: nothing, closed: nothing };
      const plan = { first: undefined, last: [], othersAfterMs: undefined };
      return share.dial(INFO, { ...sink, opened: () => opened++ }, plan);
    });
    run(100);
    expect(opened).toBe(2);
    expect(gateway.sessions).toBe(2);
    for (const seat of seats) seat.close();
    run(100);
    expect(gateway.sessions).toBe(1);
  });

  it("add what tokens each has to the session", () => {
    const { gateway, newTab, run } = world();
    gateway.channel("c");
    newTab("c").client.addTokens("first");
    run(100);
    const second = newTab("c");
    second.client.addTokens("second");
    run(100);
    expect(gateway.tokens).toEqual(["first", "second"]);
    second.client.dropConnection();
    run(100);
    expect(gateway.tokens).toEqual(["first", "second"]);
  });

  it("do without one that does not read, and it comes back from its cursor", () => {
    const { gateway, newTab, run } = world();
    const log = gateway.channel("c");
    const [first, slow] = [newTab("c"), newTab("c")];
    run(100);
    slow.tab.hang();
    for (let at = 0; at < 12; at++) {
      log.say("x".repeat(1024 * 1024));
      run(16);
    }
    run(100);
    expect(textOf(first.channels[0])).toHaveLength(12 * 1024 * 1024);
    slow.tab.wake();
    run(500);
    expect(textOf(slow.channels[0])).toHaveLength(12 * 1024 * 1024);
    expect(slow.client.status.getSnapshot().recoveries).toHaveLength(1);
    expect(first.client.status.getSnapshot().recoveries).toHaveLength(0);
  });

  it("have datagrams, each tab its own", () => {
    const { gateway, network, newTab, run } = world();
    network.weather.loss = 0.1;
    const log = gateway.channel("c");
    const [first, second] = [newTab(), newTab()];
    const channels = [first, second].map(({ client }) =>
      client.subscribe("c", { delivery: "datagram" }),
    );
    run(100);
    talk(log, run, 1_000);
    run(300);
    for (const one of channels) {
      expect(textOf(one)).toBe(log.text());
      expect(one.metrics().datagrams).toBeGreaterThan(20);
    }
  });

  it("get every event exactly once, whatever happens to them, in random cuts", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const { random, gateway, network, newTab, run } = world(seed);
        network.weather.latencyMs = [1, 80];
        gateway.faults.repeat = 0.05;
        gateway.faults.skip = 0.02;
        const logs = ["a", "b", "c"].map((id) => gateway.channel(id));
        const pick = <T>(many: readonly T[]): T | undefined =>
          many[Math.floor(random() * many.length)];
        const seqs = new Map<Channel, number[]>();
        const opened = (): Tab => {
          const ids = logs.map(({ id }) => id).filter(() => random() < 0.6);
          const one = newTab(...ids);
          for (const channel of one.channels) {
            const seen: number[] = [];
            seqs.set(channel, seen);
            void (async () => {
              for await (const batch of channel) {
                if (batch.kind === "snapshot") seen.length = 0;
                if (batch.kind === "events") {
                  seen.push(...batch.events.map((_, at) => batch.firstSeq + at));
                }
              }
            })();
          }
          return one;
        };
        let tabs = [opened(), opened()];
        for (let round = 0; round < 40; round++) {
          for (const log of logs) {
            const count = Math.floor(random() * 4);
            for (let n = 0; n < count; n++) log.say(`${log.id}${log.last + 1} `);
          }
          run(random() * 200);
          const one = pick(tabs);
          const dice = random();
          if (dice < 0.12 && tabs.length < 5) tabs.push(opened());
          else if (dice < 0.2) network.cut();
          else if (dice < 0.25) gateway.goAway();
          else if (one === undefined || dice > 0.7) continue;
          else if (dice < 0.3) one.tab.freeze();
          else if (dice < 0.35) one.tab.hang();
          else if (dice < 0.45) one.tab.wake();
          else if (dice < 0.5) one.tab.visible = !one.tab.visible;
          else if (dice < 0.55 && one.tab.awake) one.client.dropConnection(random() * 300);
          else if (dice < 0.6 && tabs.length > 1) {
            one.tab.crash();
            tabs = tabs.filter((other) => other !== one);
          } else if (dice < 0.65 && tabs.length > 1 && one.tab.awake) {
            one.client.close();
            one.share.close();
            tabs = tabs.filter((other) => other !== one);
          }
          await Promise.resolve();
        }
        gateway.faults.repeat = 0;
        gateway.faults.skip = 0;
        for (const { tab } of tabs) {
          tab.visible = true;
          tab.wake();
        }
        run(8_000);
        for (let turn = 0; turn < 50; turn++) await Promise.resolve();
        expect(gateway.sessions).toBe(1);
        expect(tabs.filter(({ share }) => share.leads)).toHaveLength(1);
        for (const one of tabs) {
          expect(stateOf(one)).toBe("live");
          for (const channel of one.channels) {
            const log = gateway.logs.get(channel.id);
            expect(textOf(channel) ?? "").toBe(log?.text());
            const seen = seqs.get(channel) ?? [];
            expect(seen).toEqual(seen.map((_, at) => (seen[0] ?? 0) + at));
          }
        }
        for (const { client } of tabs) client.close();
      }),
      { numRuns: process.env.TOKENWAY_SOAK ? 2_000 : 60 },
    );
  }, 600_000);
});

// The client where nothing can be dialled with: it must say so everywhere at once, and never wait.

import { afterEach, describe, expect, it, vi } from "vitest";
import {
  type Channel,
  type ConnectInfo,
  ConnectionError,
  connect,
  websocket,
  webtransport,
} from "../src/index.js";
import { ManualClock } from "./support/clock.js";

const INFO: ConnectInfo = {
  webtransport: { url: "https://gateway.example:4433/v1/connect", certificate_hashes: [] },
  websocket: "wss://gateway.example/v1/connect/ws",
  sse: null,
  protocol: "tokenway.v1",
};

async function readAll(channel: Channel): Promise<void> {
  for await (const batch of channel) expect(batch).toBeUndefined();
}

function start(options: Parameters<typeof connect>[0]) {
  const clock = new ManualClock();
  const schedule = (work: () => void): void => void clock.after(16, work);
  return { clock, client: connect({ clock, schedule, random: () => 0.5, ...options }) };
}

describe("a client that has nothing to dial with", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("fails its status, every channel and every request where the runtime has no carrier", async () => {
    vi.stubGlobal("WebTransport", undefined);
    vi.stubGlobal("WebSocket", undefined);
    const fetch = vi.fn(() => new Promise<Response>(() => undefined));
    vi.stubGlobal("fetch", fetch);
    const transports = [webtransport, websocket];
    const { client, clock } = start({ url: "http://gateway.example", transports });
    const early = [client.subscribe("a"), client.subscribe("b")];
    const cancelled = client.cancel("a");
    const reading = early.map(readAll);
    clock.advance(50);
    const late = client.subscribe("c");
    clock.advance(50);
    const error = expect.objectContaining({ code: "no_transport", retryable: false });
    expect(client.status.getSnapshot()).toMatchObject({ state: "closed", error });
    for (const channel of [...early, late]) {
      expect(channel.getSnapshot()).toMatchObject({ status: "failed", error });
    }
    for (const one of [...reading, cancelled, client.cancel("c"), readAll(late)]) {
      await expect(one).rejects.toEqual(error);
    }
    const told = client.status.getSnapshot().error;
    expect(told).toBeInstanceOf(ConnectionError);
    expect(told?.message).toMatch(/no WebTransport in this runtime, no WebSocket in this runtime/);
    // No answer of the gateway's could have changed that.
    expect(fetch).not.toHaveBeenCalled();
  });

  it("says what the gateway does not offer", () => {
    vi.stubGlobal("WebTransport", undefined);
    vi.stubGlobal("WebSocket", class {});
    const { client, clock } = start({ info: { ...INFO, websocket: null } });
    const channel = client.subscribe("a");
    clock.advance(50);
    expect(channel.getSnapshot().error?.code).toBe("no_transport");
    expect(channel.getSnapshot().error?.message).toContain("no websocket at the gateway");
  });

  it("goes on with the carrier that is left", async () => {
    vi.stubGlobal("WebTransport", undefined);
    const dialled: string[] = [];
    vi.stubGlobal(
      "WebSocket",
      class {
        constructor(url: string) {
          dialled.push(url);
        }
        close(): void {}
      },
    );
    const { client, clock } = start({ info: INFO });
    clock.advance(20);
    await vi.waitFor(() => expect(dialled).toEqual([INFO.websocket]));
    expect(client.status.getSnapshot().state).toBe("connecting");
    client.close();
  });
});

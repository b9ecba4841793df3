import { describe, expect, it } from "vitest";
import { type Command, initial, type Model, type SessionEvent } from "./model.js";
import { step, wakeAt } from "./state.js";

/** Runs events at their times and gives the last model and all commands. */
function play(...events: readonly (readonly [at: number, event: SessionEvent])[]) {
  let model: Model = initial;
  const commands: Command[] = [];
  for (const [at, event] of events) {
    const next = step(model, event, at, 0.5);
    model = next.model;
    commands.push(...next.commands);
  }
  return { model, commands };
}

const start: SessionEvent = { type: "start" };
const opened = (
  attempt: number,
  kind: "webtransport" | "websocket" | "sse" = "webtransport",
): SessionEvent => ({ type: "opened", attempt, kind });
const gone = (attempt: number): SessionEvent => ({ type: "gone", attempt });
const tick: SessionEvent = { type: "tick" };
const welcomed = (attempt: number): SessionEvent => ({
  type: "welcomed",
  attempt,
  kind: "webtransport",
  dialledAt: 0,
  heartbeatMs: 250,
});
const live = [
  [0, start],
  [5, opened(1)],
  [8, welcomed(1)],
] as const;

describe("the session's decisions", () => {
  it("races the carriers at first, and says hello to the one that opens", () => {
    const { model, commands } = play(...live);
    expect(commands).toEqual([
      { type: "dial", attempt: 1, first: undefined, last: [], othersAfterMs: 400 },
      { type: "hello", attempt: 1 },
    ]);
    expect(model).toMatchObject({
      phase: { name: "live", link: 1 },
      winner: "webtransport",
      learnedMs: 8,
    });
  });

  it("races all carriers where only a page before knows which one worked", () => {
    const model: Model = { ...initial, winner: "webtransport" };
    const { commands } = step(model, start, 0, 0.5);
    expect(commands).toEqual([
      { type: "dial", attempt: 1, first: "webtransport", last: [], othersAfterMs: 400 },
    ]);
  });

  it("rests no longer once somebody looks", () => {
    const visible = (seen: boolean): SessionEvent => ({ type: "visible", visible: seen });
    const lost = play(
      ...live,
      [1_000, visible(false)],
      [2_000, { type: "online", online: false }],
      [2_001, gone(1)],
    );
    const { model } = step(lost.model, gone(lost.model.pending?.id ?? 0), 2_002, 0.5);
    expect(model.phase).toMatchObject({ name: "waiting", held: false });
    const seen = step(model, visible(true), 2_500, 0.5);
    expect(seen.model.phase.name).toBe("connecting");
    expect(seen.commands).toMatchObject([{ type: "dial", first: "webtransport" }]);
    // What it knows of the network holds: it may be the same one.
    expect(seen.model.winner).toBe("webtransport");
    const away = step(model, visible(false), 2_500, 0.5);
    expect(away.commands).toEqual([]);
  });

  it("dials at once after a loss, with the carrier that worked and no other", () => {
    const { commands } = play(...live, [1_000, gone(1)]);
    const dial = {
      type: "dial",
      attempt: 2,
      first: "webtransport",
      last: [],
      othersAfterMs: undefined,
    };
    expect(commands.at(-1)).toEqual(dial);
  });

  it("replaces a pending attempt, and lets the other carriers in after three seconds", () => {
    const events: [number, SessionEvent][] = [
      ...live.map(([at, event]): [number, SessionEvent] => [at, event]),
      [1_000, gone(1)],
    ];
    for (let at = 1_300; at <= 4_300; at += 300) events.push([at, tick]);
    const { commands } = play(...events);
    const dials = commands.filter((one) => one.type === "dial");
    expect(dials).toHaveLength(12);
    expect(dials.at(-1)).toMatchObject({
      first: "webtransport",
      othersAfterMs: expect.any(Number),
    });
    expect(dials.at(-3)).toMatchObject({ othersAfterMs: undefined });
    expect(commands.filter((one) => one.type === "hangUp")).toHaveLength(10);
  });

  it("gives a connection that opened a second to welcome it", () => {
    const { model } = play(...live, [1_000, gone(1)], [1_290, opened(2)], [1_310, tick]);
    expect(model).toMatchObject({
      phase: { name: "connecting" },
      pending: { id: 2, deadline: 2_290 },
    });
  });

  it("stays off as long as it was told to, network or not", () => {
    const off: SessionEvent = { type: "drop", offMs: 5_000 };
    const { model, commands } = play(
      ...live,
      [100, off],
      [200, { type: "online", online: true }],
      [300, tick],
    );
    expect(model.phase).toMatchObject({ name: "waiting", until: 5_100 });
    expect(wakeAt(model)).toBe(5_100);
    expect(commands.at(-1)).toEqual({ type: "hangUp", attempt: 1 });
    expect(step(model, tick, 5_100, 0.5).model.phase.name).toBe("connecting");
  });

  it("does not wait for its time when the network is back", () => {
    const { model } = play([0, start], [2, gone(1)], [10, { type: "online", online: true }]);
    expect(model).toMatchObject({ phase: { name: "connecting" }, pending: { id: 2 } });
  });

  it("barks a second after an unanswered ping, and only if a turn of the queue changes nothing", () => {
    const beats: [number, SessionEvent][] = [8, 258, 508, 758, 1_008].map((at) => [at, tick]);
    const doubt = play(...live, ...beats);
    expect(doubt.commands.at(-2)).toEqual({ type: "settle" });
    const heard = play(
      ...live,
      ...beats,
      [1_009, { type: "heard", attempt: 1 }],
      [1_010, { type: "settled" }],
    );
    expect(heard.model.phase.name).toBe("live");
    const silent = play(...live, ...beats, [1_010, { type: "settled" }]);
    expect(silent.model.phase.name).toBe("connecting");
    expect(silent.commands.slice(-2)).toMatchObject([{ type: "hangUp" }, { type: "dial" }]);
  });

  it("does not bark on a hidden page, and pings first when it is seen again", () => {
    const hidden: SessionEvent = { type: "visible", visible: false };
    const beats: [number, SessionEvent][] = [8, 258, 508, 758, 1_008, 1_258].map((at) => [
      at,
      tick,
    ]);
    const away = play(...live, [9, hidden], ...beats);
    expect(away.commands.filter((one) => one.type === "settle")).toEqual([]);
    const back = step(away.model, { type: "visible", visible: true }, 1_300, 0.5);
    expect(back.commands).toMatchObject([{ type: "ping" }]);
    expect(step(back.model, tick, 1_400, 0.5).commands).toEqual([]);
  });

  it("measures the round trip by the ping that is answered", () => {
    const pong: SessionEvent = { type: "ponged", attempt: 1, nonce: 2 };
    expect(play(...live, [8, tick], [20, pong]).model.rttMs).toBe(12);
  });

  it("hangs up the old link only when the new one is welcomed", () => {
    const { commands } = play(
      ...live,
      [100, { type: "goAway", attempt: 1 }],
      [105, opened(2)],
      [108, welcomed(2)],
    );
    expect(commands.slice(-3)).toEqual([
      { type: "dial", attempt: 2, first: "webtransport", last: [], othersAfterMs: undefined },
      { type: "hello", attempt: 2 },
      { type: "hangUp", attempt: 1 },
    ]);
  });

  it("goes on with the second attempt when the first link breaks before it is ready", () => {
    const { model } = play(...live, [100, { type: "goAway", attempt: 1 }], [103, gone(1)]);
    expect(model).toMatchObject({ phase: { name: "connecting" }, pending: { id: 2 } });
  });

  it("gives up where there is nothing to dial with, but not once something has worked", () => {
    const none = (attempt: number): SessionEvent => ({
      type: "noTransport",
      attempt,
      message: "nothing",
    });
    const never = play([0, start], [1, none(1)]);
    expect(never.model.phase).toEqual({
      name: "closed",
      code: "no_transport",
      message: "nothing",
    });
    expect(play([0, start], [1, none(7)]).model.phase.name).toBe("connecting");
    expect(play(...live, [100, gone(1)], [101, none(2)]).model.phase.name).not.toBe("closed");
  });

  it("tries last what opens and then carries nothing, and forgets that on another network", () => {
    const ws = (attempt: number): SessionEvent => opened(attempt, "websocket");
    const twice = [
      [0, start],
      [5, ws(1)],
      [10, gone(1)],
      [400, tick],
      [405, ws(2)],
    ] as const;
    const { commands } = play(...twice, [1_500, gone(2)], [1_600, tick], [2_500, tick]);
    expect(commands.filter((one) => one.type === "dial").map(({ last }) => last)).toEqual([
      [],
      [],
      ["websocket"],
    ]);
    const { model } = play(...twice, [1_500, gone(2)], [1_501, { type: "network" }]);
    expect(model).toMatchObject({ strikes: {}, phase: { name: "connecting" } });
  });

  it("gives SSE and long polling time for requests of their own", () => {
    const { model } = play([0, start], [4_000, opened(1, "sse")]);
    expect(model).toMatchObject({ phase: { name: "connecting" }, pending: { deadline: 7_000 } });
  });

  it("does nothing while the page is frozen, and dials at once when it is back", () => {
    const asleep = play(...live, [100, { type: "sleep" }], [500, tick], [600, gone(1)]);
    expect(asleep.model.phase.name).toBe("asleep");
    expect(asleep.commands.at(-1)).toEqual({ type: "hangUp", attempt: 1 });
    expect(wakeAt(asleep.model)).toBe(Number.POSITIVE_INFINITY);
    const back = step(asleep.model, { type: "wake" }, 90_000, 0.5);
    expect(back.model).toMatchObject({
      phase: { name: "connecting" },
      pending: { since: 90_000 },
    });
    expect(back.commands).toMatchObject([{ type: "dial", first: "webtransport" }]);
    // It also comes with a page that was never away.
    expect(play(...live, [100, { type: "wake" }]).model.phase.name).toBe("live");
  });

  it("looks at the path at once when the browser says that the network is gone", () => {
    const { model, commands } = play(...live, [20, { type: "online", online: false }]);
    expect(model.phase.name).toBe("live");
    expect(commands.at(-1)).toMatchObject({ type: "ping", attempt: 1 });
  });

  it("does not burn attempts while the browser says that there is no network", () => {
    const off: SessionEvent = { type: "online", online: false };
    const { model } = play(...live, [20, off], [30, gone(1)], [35, gone(3)]);
    expect(model.phase).toMatchObject({ name: "waiting", until: 35 + 3_750 });
    const back = step(model, { type: "online", online: true }, 1_000, 0.5);
    expect(back.model.phase.name).toBe("connecting");
  });

  it("opens a second connection on another network, and gives the first one up for it", () => {
    const { model, commands } = play(...live, [100, { type: "network" }]);
    expect(model).toMatchObject({ phase: { name: "live", link: 1 }, pending: { id: 2 } });
    // Any carrier may be the best there.
    expect(commands.at(-1)).toMatchObject({ type: "dial", first: undefined, othersAfterMs: 400 });
  });

  it("gives a path more time where pings are rare", () => {
    const rare = { ...welcomed(1), heartbeatMs: 2_000 } as SessionEvent;
    const { model } = play([0, start], [5, opened(1)], [8, rare], [8, tick]);
    expect(wakeAt(model)).toBe(2_008);
    const later = step(model, tick, 2_008, 0.5).model;
    expect(wakeAt(later)).toBe(3_008);
  });

  it("is deaf once it is closed", () => {
    const { model } = play(
      ...live,
      [100, { type: "close" }],
      [101, start],
      [102, { type: "online", online: true }],
    );
    expect(model.phase).toMatchObject({ name: "closed", code: "closed" });
    expect(wakeAt(model)).toBe(Number.POSITIVE_INFINITY);
  });
});

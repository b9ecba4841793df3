import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/clock.js";
import { expiryOf, Renewal } from "./renewal.js";
import { Keyring } from "./tokens.js";

/** A token as the gateway mints it, as far as its expiry goes. */
function jwt(name: string, exp?: number): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256" })}.${part({ name, exp, note: "ÿ?>" })}.c2ln`;
}

/** Lets promises settle. */
const settle = async (): Promise<void> => {
  for (let at = 0; at < 10; at++) await Promise.resolve();
};

function renewal(fetch: () => readonly string[] | Promise<readonly string[]>) {
  const clock = new ManualClock();
  const told: string[] = [];
  const one = new Renewal(
    fetch,
    clock,
    () => 0.5,
    (tokens) => told.push(...tokens),
  );
  return { clock, told, one, seconds: () => clock.wall() / 1_000 };
}

describe("tokens that are fetched", () => {
  it("say when they expire; what is no token says nothing", () => {
    expect(expiryOf(jwt("a", 1_900_000_000))).toBe(1_900_000_000_000);
    for (const none of ["", "opaque", "a.b.c", jwt("a"), "..", "a.e30.c"]) {
      expect(expiryOf(none)).toBeUndefined();
    }
  });

  it("are there before the first hello, and fetched again before they expire", async () => {
    let count = 0;
    const { clock, told, one, seconds } = renewal(() => [jwt(`${++count}`, seconds() + 600)]);
    await one.fresh();
    await one.fresh();
    expect(told).toHaveLength(1);
    clock.advance(569_000);
    await settle();
    expect(count).toBe(1);
    clock.advance(2_000);
    await settle();
    expect(count).toBe(2);
    expect(told).toHaveLength(2);
    clock.advance(571_000);
    await settle();
    expect(count).toBe(3);
  });

  it("are fetched again after a failure, with rests that grow, and by one at a time", async () => {
    let asked = 0;
    const { clock, one } = renewal(() => {
      asked += 1;
      return Promise.reject(new Error("the app's server is down"));
    });
    for (const each of [one.fresh(), one.fresh()]) await expect(each).rejects.toThrow("down");
    expect(asked).toBe(1);
    for (let ms = 0; ms < 60_000; ms += 250) {
      clock.advance(250);
      await settle();
    }
    expect(asked).toBeGreaterThan(4);
    expect(asked).toBeLessThan(12);
    const before = asked;
    one.close();
    clock.advance(100_000);
    await settle();
    expect(asked).toBe(before);
  });

  it("are fetched for a hello after a sleep in which they expired", async () => {
    let count = 0;
    const { clock, told, one, seconds } = renewal(() => [jwt(`${++count}`, seconds() + 60)]);
    await one.fresh();
    clock.sleep(3_600_000);
    await one.fresh();
    expect(told).toEqual([jwt("1", seconds() - 3_540), jwt("2", seconds() + 60)]);
  });
});

describe("a keyring", () => {
  it("gives what it was given, and takes more", () => {
    const ring = new Keyring(
      ["a", "b"],
      new ManualClock(),
      () => 0.5,
      () => undefined,
    );
    expect(ring.fresh()).toBeUndefined();
    expect(ring.all).toEqual(["a", "b"]);
    ring.add(["c", "a"]);
    expect(ring.all).toEqual(["a", "b", "c"]);
    expect([ring.renewable, ring.spoil()]).toEqual([false, false]);
  });

  it("believes a few times that others can help, and not for ever", async () => {
    let count = 0;
    const clock = new ManualClock();
    const ring = new Keyring(
      () => [`${++count}`],
      clock,
      () => 0.5,
      () => undefined,
    );
    await ring.fresh();
    expect(ring.all).toEqual(["1"]);
    for (let at = 2; at <= 6; at++) {
      expect(ring.spoil()).toBe(true);
      await ring.fresh();
      expect(ring.all.at(-1)).toBe(`${at}`);
    }
    expect(ring.spoil()).toBe(false);
  });
});

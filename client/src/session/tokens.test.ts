import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/clock.js";
import { expiryOf, Keyring } from "./tokens.js";

/** A token as the gateway mints it, as far as its expiry goes. */
function jwt(name: string, exp?: number): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256" })}.${part({ name, exp, note: "ÿ?>" })}.c2ln`;
}

/** Lets promises settle. */
const settle = async (): Promise<void> => {
  for (let at = 0; at < 10; at++) await Promise.resolve();
};

function keyring(fetch: () => readonly string[] | Promise<readonly string[]>) {
  const clock = new ManualClock();
  const told: (readonly string[])[] = [];
  const ring = new Keyring(
    fetch,
    clock,
    () => 0.5,
    (tokens) => told.push(tokens),
  );
  return { clock, told, ring, seconds: () => clock.wall() / 1_000 };
}

describe("a keyring", () => {
  it("reads when a token expires, and makes nothing of what is no token", () => {
    expect(expiryOf(jwt("a", 1_900_000_000))).toBe(1_900_000_000_000);
    for (const none of ["", "opaque", "a.b.c", jwt("a"), "..", "a.e30.c"]) {
      expect(expiryOf(none)).toBeUndefined();
    }
  });

  it("gives what it was given, and takes more", () => {
    const clock = new ManualClock();
    const ring = new Keyring(
      ["a", "b"],
      clock,
      () => 0.5,
      () => undefined,
    );
    expect(ring.fresh()).toEqual(["a", "b"]);
    ring.add(["c", "a"]);
    expect(new Set(ring.all)).toEqual(new Set(["a", "b", "c"]));
    expect(ring.renewable).toBe(false);
    expect(ring.spoil()).toBe(false);
  });

  it("asks before the first hello, and again before the tokens expire", async () => {
    let count = 0;
    const { clock, told, ring, seconds } = keyring(() => [jwt(`${++count}`, seconds() + 600)]);
    expect(await ring.fresh()).toHaveLength(1);
    expect(ring.fresh()).toHaveLength(1);
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

  it("asks again with rests that grow where asking fails, and one at a time", async () => {
    let asked = 0;
    const { clock, ring } = keyring(() => {
      asked += 1;
      return Promise.reject(new Error("the app's server is down"));
    });
    const both = [ring.fresh(), ring.fresh()];
    for (const one of both) await expect(one).rejects.toThrow("down");
    expect(asked).toBe(1);
    const at: number[] = [];
    for (let ms = 0; ms < 60_000; ms += 250) {
      clock.advance(250);
      await settle();
      while (at.length < asked - 1) at.push(ms);
    }
    expect(asked).toBeGreaterThan(4);
    expect(asked).toBeLessThan(12);
    ring.close();
    clock.advance(100_000);
    await settle();
    expect(at.length).toBe(asked - 1);
  });

  it("fetches for a hello after a sleep in which the tokens expired", async () => {
    let count = 0;
    const { clock, ring, seconds } = keyring(() => [jwt(`${++count}`, seconds() + 60)]);
    await ring.fresh();
    clock.sleep(3_600_000);
    const fresh = await ring.fresh();
    expect(fresh).toEqual([jwt("2", seconds() + 60)]);
  });

  it("believes once that others can help, not again and again", async () => {
    const { clock, ring } = keyring(() => ["a"]);
    await ring.fresh();
    expect(ring.spoil()).toBe(true);
    expect(ring.fresh()).toBeInstanceOf(Promise);
    expect(ring.spoil()).toBe(false);
    clock.advance(20_000);
    expect(ring.spoil()).toBe(true);
  });
});

import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/clock.js";
import { expiryOf, Renewal } from "./renewal.js";
import { Keyring, type Tokens } from "./tokens.js";

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

describe("a renewal that meets a bad world", () => {
  it("gives up on a fetch that hangs, and tries again", async () => {
    let asked = 0;
    const { clock, one } = renewal(() => {
      asked += 1;
      return new Promise<never>(() => undefined);
    });
    const late = expect(one.fresh()).rejects.toThrow("no tokens within 10000 ms");
    await settle();
    clock.advance(10_001);
    await late;
    clock.advance(2_000);
    await settle();
    expect(asked).toBe(2);
    one.close();
  });

  it("does not ask every second where the clock is ahead of the tokens", async () => {
    let asked = 0;
    const { clock, one, seconds } = renewal(() => {
      asked += 1;
      return [jwt("old", Math.floor(seconds()) - 60)];
    });
    await one.fresh();
    for (let ms = 0; ms < 60_000; ms += 250) {
      clock.advance(250);
      await settle();
    }
    expect(asked).toBeLessThanOrEqual(3);
    one.close();
  });

  it("waits for others where those that are known were refused", async () => {
    let give: (tokens: string[]) => void = () => undefined;
    let asked = 0;
    const { one } = renewal(() => {
      asked += 1;
      return new Promise<string[]>((resolve) => {
        give = resolve;
      });
    });
    const first = one.fresh();
    await settle();
    give(["a"]);
    await first;
    const refused = one.renew();
    let fresh = false;
    void one.fresh().then(() => {
      fresh = true;
    });
    await settle();
    expect([asked, fresh]).toEqual([2, false]);
    give(["b"]);
    await refused;
    await settle();
    expect(fresh).toBe(true);
    one.close();
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
    expect(ring.ask("fresh")).toBeUndefined();
    expect(ring.all).toEqual(["a", "b"]);
    ring.add(["c", "a"]);
    expect(ring.all).toEqual(["a", "b", "c"]);
    expect(ring.renewable).toBe(false);
  });

  it("takes one where several may be", async () => {
    const ring = (source: Tokens): Keyring =>
      new Keyring(
        source,
        new ManualClock(),
        () => 0.5,
        () => undefined,
      );
    expect(ring("only").all).toEqual(["only"]);
    const fetched = ring(async () => "fetched");
    await fetched.ask("fresh");
    expect(fetched.all).toEqual(["fetched"]);
  });

  it("asks where they come from", async () => {
    let count = 0;
    const clock = new ManualClock();
    const ring = new Keyring(
      () => [`${++count}`],
      clock,
      () => 0.5,
      () => undefined,
    );
    expect(ring.renewable).toBe(true);
    await ring.ask("fresh");
    await ring.ask("fresh");
    expect(ring.all).toEqual(["1"]);
    await ring.ask("renew");
    expect(ring.all).toEqual(["1", "2"]);
  });
});

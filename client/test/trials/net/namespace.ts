// A network namespace with one cable to the test's own network: for taking an address away, and the whole network.
// Needs root and the `ip` program; without them the trial fails and says so, for nothing else shows the real thing.
//
// The addresses are of 127.0.0.0/8, so that a page from there is a secure context and the gateway may stay in open mode;
// `route_localnet` lets the kernel send them over the cable like any other. The loopback interface has no part in it.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The namespace `tokenway-N`, and the cable to it. */
export class Namespace {
  readonly name: string;
  /** This side's address: where a gateway can be reached from inside. */
  readonly outside: string;
  readonly #number: number;
  #inside = 2;

  private constructor(number: number) {
    this.#number = number;
    this.name = `tokenway-${number}`;
    this.outside = `127.${number}.0.1`;
  }

  /** Makes one; `number` is 64 to 254 and nobody else's. */
  static async make(number: number): Promise<Namespace> {
    if (process.getuid?.() !== 0) {
      throw new Error(
        "NOT RUN: network namespaces need root. Taking a browser's address away cannot be shown without them.",
      );
    }
    const one = new Namespace(number);
    // What a run that was killed left behind.
    await one.remove();
    const { name, outside } = one;
    await run("ip", ["netns", "add", name]);
    const far = ["peer", "name", one.#far, "netns", name];
    await run("ip", ["link", "add", one.#near, "type", "veth", ...far]);
    await writeFile(one.#localnet, "1");
    await run("ip", ["address", "add", `${outside}/24`, "dev", one.#near]);
    await run("ip", ["link", "set", one.#near, "up"]);
    await one.#in("sh", "-c", `echo 1 > /proc/sys/net/ipv4/conf/${one.#far}/route_localnet`);
    await one.#in("ip", "link", "set", "lo", "up");
    await one.#in("ip", "address", "add", `${one.#address}/24`, "dev", one.#far);
    await one.#in("ip", "link", "set", one.#far, "up");
    return one;
  }

  /** Takes its address away and, `offMs` later, gives it another one. */
  async swapAddress(offMs: number): Promise<void> {
    await this.#in("ip", "address", "del", `${this.#address}/24`, "dev", this.#far);
    await new Promise((resolve) => setTimeout(resolve, offMs));
    this.#inside += 1;
    await this.#in("ip", "address", "add", `${this.#address}/24`, "dev", this.#far);
  }

  /** Pulls the cable out. */
  unplug(): Promise<void> {
    return this.#in("ip", "link", "set", this.#far, "down");
  }

  plug(): Promise<void> {
    return this.#in("ip", "link", "set", this.#far, "up");
  }

  /** Whether what is sent over the cable vanishes, without anybody being told. */
  async silence(on: boolean): Promise<void> {
    await writeFile(this.#localnet, on ? "0" : "1");
  }

  async remove(): Promise<void> {
    // Its end of the cable goes with it.
    await run("ip", ["netns", "del", this.name]).catch(() => undefined);
    await run("ip", ["link", "del", this.#near]).catch(() => undefined);
  }

  get #near(): string {
    return `tw${this.#number}a`;
  }

  get #far(): string {
    return `tw${this.#number}b`;
  }

  get #localnet(): string {
    return `/proc/sys/net/ipv4/conf/${this.#near}/route_localnet`;
  }

  get #address(): string {
    return `127.${this.#number}.0.${this.#inside}`;
  }

  async #in(...command: string[]): Promise<void> {
    await run("ip", ["netns", "exec", this.name, ...command]);
  }
}

// Loaded when a page connects that can share: see share.ts.

import type { ConnectOptions } from "../options.js";
import type { Clock } from "../session/clock.js";
import type { Transport } from "../transport/transport.js";
import { browserGround } from "./ground.js";
import { Share } from "./share.js";

/** Of what tabs say to each other: an old page beside a new one must not be misunderstood. */
const VERSION = 1;

/** Sharing with the tabs that connect alike; undefined where the browser cannot. */
export async function shareBy(
  { url, info, share, tokens, frameIntervalMs }: ConnectOptions,
  transports: readonly Transport[],
  clock: Clock,
): Promise<Share | undefined> {
  const ground = browserGround();
  if (ground === undefined) return undefined;
  const where = info ?? new URL(url ?? location.href).origin;
  const who = typeof share === "string" ? { share } : tokens;
  const key = [where, who, frameIntervalMs, transports.map((one) => one.kind)];
  // A digest, because it holds tokens, and names of locks can be listed.
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(JSON.stringify(key)),
  );
  const name = Array.from(new Uint8Array(digest, 0, 16), (byte) =>
    byte.toString(16).padStart(2, "0"),
  );
  return new Share(ground, `tokenway/${VERSION}/${name.join("")}`, transports, clock);
}

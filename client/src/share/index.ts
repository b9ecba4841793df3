// Loaded when a page connects that can share: see share.ts.

import type { Clock } from "../session/clock.js";
import type { Transport } from "../transport/transport.js";
import { browserGround } from "./ground.js";
import { Share } from "./share.js";

/** Of what tabs say to each other: an old page beside a new one must not be misunderstood. */
const VERSION = 1;

/** Sharing with the tabs that have the same key; undefined where the browser cannot. */
export async function shareBy(
  key: readonly unknown[],
  transports: readonly Transport[],
  clock: Clock,
): Promise<Share | undefined> {
  const ground = browserGround();
  if (ground === undefined) return undefined;
  // The key holds tokens, and names of locks can be listed.
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(JSON.stringify(key)),
  );
  const name = Array.from(new Uint8Array(digest, 0, 16), (byte) =>
    byte.toString(16).padStart(2, "0"),
  );
  return new Share(ground, `tokenway/${VERSION}/${name.join("")}`, transports, clock);
}

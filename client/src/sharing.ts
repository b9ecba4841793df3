// Whether this page shares its connection with the other tabs of its origin, and with which. What does it is loaded
// only then, while the gateway is asked where it listens.

import type { ConnectOptions } from "./options.js";
import type { Clock } from "./session/clock.js";
import type { Share } from "./share/share.js";
import type { Transport } from "./transport/transport.js";

/** Undefined where the runtime has no tabs, or none that can share; the promise holds undefined if that fails. */
export function sharing(
  { share = true, url, info, tokens, frameIntervalMs }: ConnectOptions,
  transports: readonly Transport[],
  clock: Clock,
): Promise<Share | undefined> | undefined {
  if (share === false || !globalThis.location || !globalThis.navigator?.locks) return undefined;
  // Tokens that are fetched do not tell whose they are.
  if (typeof tokens === "function" && typeof share !== "string") return undefined;
  const who = typeof share === "string" ? { share } : tokens;
  const where = info ?? new URL(url ?? location.href).origin;
  const kinds = transports.map((one) => one.kind);
  // Not what a page can do without: it may have been deployed anew and the file be gone.
  return import("./share/index.js")
    .then(({ shareBy }) => shareBy([where, who, frameIntervalMs, kinds], transports, clock))
    .catch(() => undefined);
}

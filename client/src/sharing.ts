// Whether this page shares its connection with the other tabs of its origin, and with which. What does it is loaded
// only then, while the gateway is asked where it listens.

import type { ConnectOptions } from "./options.js";
import type { Clock } from "./session/clock.js";
import type { Share } from "./share/share.js";
import type { Transport } from "./transport/transport.js";

/** Undefined where the runtime has no tabs, or none that can share; the promise holds undefined if that fails. */
export function sharing(
  options: ConnectOptions,
  transports: readonly Transport[],
  clock: Clock,
): Promise<Share | undefined> | undefined {
  const { share, tokens } = options;
  if (share === false || !globalThis.location || !globalThis.navigator?.locks) return undefined;
  // Tokens that are fetched do not tell whose they are.
  if (typeof tokens === "function" && typeof share !== "string") return undefined;
  // Not what a page can do without: it may have been deployed anew and the file be gone.
  return import("./share/index.js")
    .then(({ shareBy }) => shareBy(options, transports, clock))
    .catch(() => undefined);
}

// Says why there is nothing to dial with. Dials nothing.

import type { ConnectInfo, Transport } from "../transport/transport.js";

/** What keeps all of the transports from being used; without an info, from being used with any. */
export function lackOf(
  transports: readonly Transport[],
  info: ConnectInfo | undefined,
): string | undefined {
  const lacks = transports.map((one) => one.lack(info));
  return lacks.includes(undefined) ? undefined : lacks.join(", ") || "none was given";
}

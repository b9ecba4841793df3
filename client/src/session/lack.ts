// Says why there is nothing to dial with, in words for whoever has to change that. Dials nothing.

import type { ConnectInfo, Transport } from "../transport/transport.js";

/** The message if none of the transports can be used; without an info, if none could with any. */
export function nothingToDialWith(
  transports: readonly Transport[],
  info: ConnectInfo | undefined,
): string | undefined {
  const lacks = [];
  for (const transport of transports) {
    const lack = transport.lack(info);
    if (lack === undefined) return undefined;
    lacks.push(lack);
  }
  if (lacks.length === 0) return "no transport can be used: connect was given an empty list";
  const reasons = lacks.map((one) => one.reason).join(" and ");
  const remedies = lacks.map((one) => one.remedy).join("; or ");
  return `no transport can be used: ${reasons}. To connect: ${remedies}`;
}

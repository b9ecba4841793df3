// Says why there is nothing to dial with, in words for whoever has to change that. Dials nothing.

import type { ConnectInfo, Lack, Transport } from "../transport/transport.js";

/** The message if none of the transports can be used; without an info, if none could with any. */
export function nothingToDialWith(
  transports: readonly Transport[],
  info: ConnectInfo | undefined,
): string | undefined {
  const lack = lackOf(transports, info);
  return lack && `no transport can be used: ${lack.reason}. To connect: ${lack.remedy}`;
}

/** What keeps all of them from being used. */
export function lackOf(
  transports: readonly Transport[],
  info: ConnectInfo | undefined,
): Lack | undefined {
  const lacks = [];
  for (const transport of transports) {
    const lack = transport.lack(info);
    if (lack === undefined) return undefined;
    lacks.push(lack);
  }
  if (lacks.length === 0) {
    return { reason: "connect was given an empty list", remedy: "give it a transport" };
  }
  return {
    reason: lacks.map((one) => one.reason).join(" and "),
    remedy: lacks.map((one) => one.remedy).join("; or "),
  };
}

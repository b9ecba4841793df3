// What is acknowledged of subscriptions that come by datagram: so that it is not sent again. No clock, no I/O.

import { Acks } from "../wire/session.js";
import type { Aliases } from "./aliases.js";
import type { Feed } from "./feed.js";

/** So many acknowledgements fit into any datagram. */
const ACKS_MAX = 64;

/** The datagrams that tell a link's gateway what has come of these feeds. */
export function acknowledgements(
  link: number,
  feeds: Iterable<Feed>,
  aliases: Aliases,
): readonly Uint8Array[] {
  const acks: { alias: number; seq: number }[] = [];
  for (const feed of feeds) {
    const at = aliases.placeOf(feed);
    const seq = feed.contiguous;
    if (at?.link === link && seq !== undefined) acks.push({ alias: at.alias, seq });
  }
  const datagrams: Uint8Array[] = [];
  while (acks.length > 0) datagrams.push(Acks.encode({ acks: acks.splice(0, ACKS_MAX) }));
  return datagrams;
}

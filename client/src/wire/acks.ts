// What a client acknowledges of what came by datagram. Loaded with the carriers that have them.

import { type Infer, message, nested, repeated, uint32, uint64 } from "./schema.js";

/** A datagram from the client: what it has, without a hole, of its datagram subscriptions. */
export const Acks = message({
  acks: repeated(nested(1, message({ alias: uint32(1), seq: uint64(2) }))),
});
export type Acks = Infer<typeof Acks>;

// The one error class that leaves this package.

import { meaningOf } from "./wire/codes.js";

/** Something that the gateway refused, or that the connection to it could not do. */
export class TokenwayError extends Error {
  override readonly name = "TokenwayError";
  /** A code of the protocol, or `connection_lost`, `closed`, `signed_out`, `unreachable`, `no_transport`. */
  readonly code: string;
  /** Whether the same call can succeed later. */
  readonly retryable: boolean;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
    this.retryable = meaningOf(code).retryable;
  }
}

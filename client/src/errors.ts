// The errors that leave this package. Their codes are one table with the gateway's, proto/codes.json.

import { type ErrorCode, RENEW, RESTART, RETRYABLE } from "./wire/codes.js";

export type { ErrorCode };

const among = (list: string, code: string): boolean => ` ${list} `.includes(` ${code} `);

/** Whether a refused subscription is taken up again from a snapshot. */
export const restarts = (code: string): boolean => among(RESTART, code);
/** Whether another token can help. */
export const renews = (code: string): boolean => among(RENEW, code);

/** Something that the gateway refused, or that the connection to it could not do. */
export class TokenwayError extends Error {
  /** The class's name. */
  override readonly name: string = "TokenwayError";
  /** A stable code of proto/codes.json. A newer gateway may have others. */
  readonly code: ErrorCode | (string & {});
  /** Whether the same call can succeed later. */
  readonly retryable: boolean;

  /** Made by the package. */
  constructor(code: string, message: string) {
    super(message || code);
    this.code = code;
    this.retryable = among(RETRYABLE, code);
  }
}

/** The connection could not be made or kept, or is not to be. */
export class ConnectionError extends TokenwayError {
  override readonly name = "ConnectionError";
}

/** No token allows it. */
export class AccessError extends TokenwayError {
  override readonly name = "AccessError";
}

/** The gateway refused what was asked for. */
export class RequestError extends TokenwayError {
  override readonly name = "RequestError";
}

/** What the gateway says no with. */
export const refusalOf = (code: string, message: string): TokenwayError =>
  new (renews(code) ? AccessError : RequestError)(code, message);

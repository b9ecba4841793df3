// Generated from proto/codes.json by `npm run codes`: the codes of errors, one table for gateway and client.

/** A code of the table. A newer gateway may have others. */
export type ErrorCode =
  | "channel_not_found"
  | "channel_evicted"
  | "channel_closed"
  | "channel_full"
  | "generation_not_found"
  | "generation_running"
  | "event_too_large"
  | "bad_channel_id"
  | "bad_request"
  | "method_not_allowed"
  | "not_found"
  | "model_not_found"
  | "previous_response_not_found"
  | "no_token_secret"
  | "too_large"
  | "timeout"
  | "rate_limit_exceeded"
  | "budget_exceeded"
  | "overloaded"
  | "upstream_error"
  | "bad_cursor"
  | "epoch_changed"
  | "cursor_ahead"
  | "unauthorized"
  | "forbidden"
  | "limit"
  | "unavailable"
  | "store_unavailable"
  | "shutdown"
  | "bad_message"
  | "hello_expected"
  | "protocol_unsupported"
  | "closed"
  | "signed_out"
  | "no_transport"
  | "connection_lost"
  | "unreachable"
  | "gap";

/** The same call can succeed later. */
export const RETRYABLE =
  "rate_limit_exceeded overloaded bad_cursor epoch_changed cursor_ahead limit unavailable store_unavailable shutdown connection_lost unreachable";
/** A refused subscription is taken up again from a snapshot. */
export const RESTART = "bad_cursor epoch_changed cursor_ahead";
/** Another token can help. */
export const RENEW = "unauthorized forbidden";

// The codes that the gateway refuses or closes with, and what each means for trying again.
//
//   refused   channel_not_found, channel_evicted, channel_closed, bad_request, forbidden; bad_cursor, epoch_changed,
//             cursor_ahead (taken up again); limit, unavailable (later)
//   closing   bad_message, hello_expected, protocol_unsupported, forbidden, limit; shutdown (later)
//   our own   closed, signed_out, gap, no_transport; connection_lost, unreachable (later)

/** What a code means for the caller. */
export interface CodeMeaning {
  /** Whether the same call can succeed later. */
  readonly retryable: boolean;
  /** Whether a refused subscription is taken up again from a snapshot. */
  readonly restart: boolean;
}

const restarts = ["bad_cursor", "epoch_changed", "cursor_ahead"];
const later = [...restarts, "limit", "unavailable", "shutdown", "connection_lost", "unreachable"];

/** What `code` means; a code that this version does not know is final. */
export function meaningOf(code: string): CodeMeaning {
  return { retryable: later.includes(code), restart: restarts.includes(code) };
}

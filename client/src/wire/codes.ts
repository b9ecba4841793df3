// The codes that the gateway refuses or closes with, and what each means for trying again.

/** What a code means for the caller. */
export interface CodeMeaning {
  /** Whether the same call can succeed later. */
  readonly retryable: boolean;
  /** Whether a refused subscription is taken up again from a snapshot. */
  readonly restart: boolean;
}

const final: CodeMeaning = { retryable: false, restart: false };
const later: CodeMeaning = { retryable: true, restart: false };
const restart: CodeMeaning = { retryable: true, restart: true };

const meanings: Readonly<Record<string, CodeMeaning>> = {
  // Refused.
  channel_not_found: final,
  channel_evicted: final,
  bad_cursor: restart,
  epoch_changed: restart,
  cursor_ahead: restart,
  bad_request: final,
  forbidden: final,
  limit: later,
  channel_closed: final,
  unavailable: later,
  // Closing.
  bad_message: final,
  hello_expected: final,
  protocol_unsupported: final,
  shutdown: later,
  // Of this client's own.
  connection_lost: later,
  closed: final,
  unreachable: later,
  no_transport: final,
};

/** What `code` means; a code that this version does not know is final. */
export function meaningOf(code: string): CodeMeaning {
  return meanings[code] ?? final;
}

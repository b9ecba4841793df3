// Where a question is written; while an answer runs, where it is stopped.

import { type FormEvent, type KeyboardEvent, type ReactNode, useState } from "react";
import { Icon } from "./icon";

interface ComposerProps {
  readonly onSend: (text: string) => void;
  readonly onStop?: (() => void) | undefined;
}

export function Composer({ onSend, onStop }: ComposerProps): ReactNode {
  const [draft, setDraft] = useState("");
  const canSend = draft.trim() !== "" && !onStop;

  function send(event: FormEvent): void {
    event.preventDefault();
    if (!canSend) return;
    onSend(draft.trim());
    setDraft("");
  }

  function key(event: KeyboardEvent<HTMLTextAreaElement>): void {
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) send(event);
  }

  return (
    <form className="composer" onSubmit={send}>
      <textarea
        value={draft}
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={key}
        placeholder="Ask anything"
        aria-label="Message"
        rows={1}
        // biome-ignore lint/a11y/noAutofocus: this is what the page is for
        autoFocus
      />
      {onStop ? (
        <button type="button" className="icon send" onClick={onStop} aria-label="Stop">
          <Icon name="stop" />
        </button>
      ) : (
        <button type="submit" className="icon send" disabled={!canSend} aria-label="Send">
          <Icon name="send" />
        </button>
      )}
    </form>
  );
}

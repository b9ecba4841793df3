// A conversation is a channel: questions are custom events on it, answers are its generations.

import { type ReactNode, useEffect } from "react";
import { useChannel, useGeneration } from "tokenway/react";
import { Composer } from "./composer";
import { Markdown } from "./markdown";

/** A question on its way; the channel has it once there is a generation. */
export interface Asked {
  readonly chat: string;
  readonly text: string;
  readonly generation?: string;
  readonly error?: string;
}

interface Question {
  readonly generation: string;
  readonly text: string;
}

interface ConversationProps {
  readonly channel: string;
  readonly asked: Asked | undefined;
  readonly onAsk: (text: string) => void;
}

export function Conversation({ channel, asked, onAsk }: ConversationProps): ReactNode {
  const { snapshot, retry } = useChannel(channel);
  const { state, stop } = useGeneration(channel);
  const questions = snapshot.customs.flatMap(({ type, data }) => (type === "question" ? [data as Question] : []));
  // The channel may have expired while the page was open: what was asked just now has made it anew.
  const begun = asked?.generation;
  useEffect(() => {
    if (begun) retry();
  }, [begun, retry]);
  const isThere = questions.some(({ generation }) => generation === asked?.generation);
  return (
    <>
      <section className="scroll" aria-label="Conversation">
        <div className="column">
          {questions.map(({ generation, text }) => (
            <article key={generation}>
              <p className="question">{text}</p>
              <Answer channel={channel} generation={generation} onAgain={() => onAsk(text)} />
            </article>
          ))}
          {asked && !isThere && <Turn asked={asked} onAsk={onAsk} />}
          {snapshot.error && !asked && (
            <p className="note">The gateway no longer has this conversation ({snapshot.error.code}).</p>
          )}
        </div>
      </section>
      <Composer onSend={onAsk} onStop={state === "running" ? stop : undefined} />
    </>
  );
}

interface AnswerProps {
  readonly channel: string;
  readonly generation: string;
  readonly onAgain: () => void;
}

function Answer({ channel, generation, onAgain }: AnswerProps): ReactNode {
  const { state, text, reasoning, error } = useGeneration(channel, { generation, smooth: true });
  return (
    <div className="answer" data-state={state} aria-busy={state === "running"}>
      {reasoning !== "" && (
        <details>
          <summary>{text === "" && state === "running" ? "Thinking…" : "Thoughts"}</summary>
          {reasoning}
        </details>
      )}
      <Markdown text={text} />
      {state === "running" && text === "" && <Waiting />}
      {state === "failed" && error?.code === "cancelled" && <p className="note">Stopped</p>}
      {state === "failed" && error?.code !== "cancelled" && (
        <Failure message={error?.message || error?.code} onAgain={onAgain} />
      )}
    </div>
  );
}

/** A question that is not on the channel yet. */
export function Turn({ asked, onAsk }: { readonly asked: Asked; readonly onAsk: (text: string) => void }): ReactNode {
  return (
    <article>
      <p className="question">{asked.text}</p>
      {asked.error ? <Failure message={asked.error} onAgain={() => onAsk(asked.text)} /> : <Waiting />}
    </article>
  );
}

function Waiting(): ReactNode {
  return (
    <p className="waiting" role="status" aria-label="Waiting for the answer">
      <i />
      <i />
      <i />
    </p>
  );
}

function Failure({ message, onAgain }: { readonly message: string | undefined; readonly onAgain: () => void }): ReactNode {
  return (
    <p className="note bad" role="alert">
      {message}{" "}
      <button type="button" onClick={onAgain}>
        Try again
      </button>
    </p>
  );
}

// The page: the conversations at the side, one of them open.

import { type ReactNode, useEffect, useRef, useState } from "react";
import { useGeneration } from "tokenway/react";
import { ask, channelOf } from "./api";
import { type Chat, remember, useChats, useOpenChat } from "./chats";
import { Composer } from "./composer";
import { ConnectionBanner, ConnectionStatus } from "./connection";
import { type Asked, Conversation, Turn } from "./conversation";
import { Icon } from "./icon";

export function App(): ReactNode {
  const chats = useChats();
  const open = useOpenChat();
  const [fresh, setFresh] = useState<string>(() => crypto.randomUUID());
  const [asked, setAsked] = useState<Asked>();
  const chat = open ?? fresh;

  async function send(text: string): Promise<void> {
    setAsked({ chat, text });
    try {
      const { generation } = await ask(chat, text);
      remember(chat, text);
      setAsked({ chat, text, generation });
      if (chat !== fresh) return;
      setFresh(crypto.randomUUID());
      // Unless another one was opened in the meantime.
      if (location.hash.length < 2) location.hash = chat;
    } catch (error) {
      setAsked({ chat, text, error: error instanceof Error ? error.message : String(error) });
    }
  }

  const pending = asked?.chat === chat ? asked : undefined;
  const title = chats.find(({ id }) => id === open)?.title ?? "New conversation";
  return (
    <>
      <Sidebar chats={chats} open={open} />
      <main>
        <header className="bar">
          <button type="button" className="icon" popoverTarget="chats" aria-label="Conversations">
            <Icon name="menu" />
          </button>
          <span>{title}</span>
        </header>
        <ConnectionBanner />
        {open ? (
          <Conversation key={open} channel={channelOf(open)} asked={pending} onAsk={send} />
        ) : (
          <Beginning asked={pending} onAsk={send} />
        )}
      </main>
    </>
  );
}

interface SidebarProps {
  readonly chats: readonly Chat[];
  readonly open: string | undefined;
}

/** On a narrow page it is a popover. */
function Sidebar({ chats, open }: SidebarProps): ReactNode {
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    if (nav.current?.matches(":popover-open")) nav.current.hidePopover();
  }, [open]);
  return (
    <nav id="chats" popover="auto" ref={nav} aria-label="Conversations">
      <h2>
        <Icon name="ferry" /> Ferry
      </h2>
      <a className="new" href="#" aria-current={open === undefined ? "page" : undefined}>
        <Icon name="new" /> New conversation
      </a>
      <ul>
        {chats.map((chat) => (
          <li key={chat.id}>
            <ChatLink chat={chat} isOpen={chat.id === open} />
          </li>
        ))}
      </ul>
      <ConnectionStatus />
    </nav>
  );
}

/** Every conversation is followed, over the one session that the page has: opening it shows what is there already. */
function ChatLink({ chat, isOpen }: { readonly chat: Chat; readonly isOpen: boolean }): ReactNode {
  const { state } = useGeneration(channelOf(chat.id));
  return (
    <a href={`#${chat.id}`} aria-current={isOpen ? "page" : undefined}>
      <span>{chat.title}</span>
      {state === "running" && <i className="live" title="Answering" />}
    </a>
  );
}

const IDEAS = [
  "Why does the tide come twice a day?",
  "What did ferrymen write in their logs?",
  "Explain a tunnel to a token",
];

interface BeginningProps {
  readonly asked: Asked | undefined;
  readonly onAsk: (text: string) => void;
}

function Beginning({ asked, onAsk }: BeginningProps): ReactNode {
  return (
    <>
      <section className="scroll">
        <div className="column">
          {asked ? (
            <Turn asked={asked} onAsk={onAsk} />
          ) : (
            <header className="beginning">
              <h1>What would you like to know?</h1>
              <p>Reload, close the lid, drive into a tunnel: the answer goes on, here and in every other tab.</p>
              {IDEAS.map((idea) => (
                <button type="button" key={idea} onClick={() => onAsk(idea)}>
                  {idea}
                </button>
              ))}
            </header>
          )}
        </div>
      </section>
      <Composer onSend={onAsk} />
    </>
  );
}

// What the app's own server is asked.

interface Session {
  readonly gateway: string;
  readonly user: string;
  /** What opens the user's channels; none where the gateway is open. */
  readonly tokens: readonly string[];
}

let user = "";

export async function session(): Promise<Session> {
  const answer: Session = await call("GET", "/api/session");
  user = answer.user;
  return answer;
}

/** The channel that a conversation is on. */
export const channelOf = (chat: string): string => `${user}.${chat}`;

/** Asks a question; the answer is on the channel. */
export const ask = (chat: string, text: string): Promise<{ generation: string }> =>
  call("POST", `/api/chats/${chat}`, { text });

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(path, { method, body: body === undefined ? null : JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

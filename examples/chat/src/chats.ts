// The conversations that this browser knows, the newest first, the same in every tab; and which one is open.

import { useSyncExternalStore } from "react";

export interface Chat {
  readonly id: string;
  readonly title: string;
}

const KEY = "chats";
const CHATS_MAX = 30;
const none: readonly Chat[] = [];
let [kept, chats]: [string | null, readonly Chat[]] = [null, none];

function read(): readonly Chat[] {
  const now = localStorage.getItem(KEY);
  if (now !== kept) [kept, chats] = [now, now === null ? none : JSON.parse(now)];
  return chats;
}

/** Puts a conversation first. */
export function remember(id: string, title: string): void {
  const known = read().find((one) => one.id === id) ?? { id, title: title.slice(0, 80) };
  const rest = read().filter((one) => one.id !== id);
  localStorage.setItem(KEY, JSON.stringify([known, ...rest].slice(0, CHATS_MAX)));
  dispatchEvent(new StorageEvent("storage"));
}

export const useChats = (): readonly Chat[] => useSyncExternalStore(onStorage, read);

/** Undefined is a new one. */
export const useOpenChat = (): string | undefined =>
  useSyncExternalStore(onHash, () => location.hash.slice(1) || undefined);

const on = (event: string) => (listener: () => void) => {
  addEventListener(event, listener);
  return () => removeEventListener(event, listener);
};
const onStorage = on("storage");
const onHash = on("hashchange");

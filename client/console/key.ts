// The access key, where the gateway has keys: asked for when it is wanted, and kept for as long as the tab is there. The
// session gets tokens that are minted with it, never the key.

import type { ConnectOptions } from "../src/index.js";
import { byId, say } from "./dom.js";

const KEY = "tokenway.key";

/** The gateway wants an access key, or another one. */
export class KeyWanted extends Error {}

const key = (): string | null => sessionStorage.getItem(KEY);

/** What a request shows. */
export function shown(): Record<string, string> {
  return key() === null ? {} : { authorization: `Bearer ${key()}` };
}

/** Where the session gets its tokens, if it needs any. */
export function tokens(): ConnectOptions {
  return key() === null ? {} : { tokens: minted };
}

/** A token for all of the key's channels. */
async function minted(): Promise<readonly string[]> {
  const response = await fetch("/v1/tokens", {
    method: "POST",
    headers: { "content-type": "application/json", ...shown() },
    body: JSON.stringify({ channel: "*", allow: ["read", "cancel", "publish"], ttl: "1h" }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error?.message ?? `no token: ${response.status}`);
  return [answer.token];
}

/** Asks for a key, and begins anew with it. */
export function lock(why: string): void {
  const form = byId("lock", HTMLFormElement);
  say(byId("lock-why", HTMLElement), why);
  form.hidden = false;
  form.onsubmit = (event) => {
    event.preventDefault();
    const given = byId("key", HTMLInputElement).value.trim();
    // What a header cannot hold is no key, and would not even be refused.
    if (!/^[!-~]+$/.test(given))
      return say(byId("lock-why", HTMLElement), "That is no access key.");
    sessionStorage.setItem(KEY, given);
    location.reload();
  };
  byId("key", HTMLInputElement).focus();
}

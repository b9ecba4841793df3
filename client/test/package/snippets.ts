// The README's snippets as programs: their types taken off, and what is made up in them put right.

import { readFile } from "node:fs/promises";
import { transform } from "esbuild";

/** The README's TypeScript snippets, in their order. */
export async function snippets(): Promise<readonly string[]> {
  const text = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((found) => found[1] ?? "");
}

/** The first one's two ways to read a channel, each with the lines that both begin with. */
export async function ways(gateway: string, channel: string): Promise<readonly [string, string]> {
  const [first = ""] = await snippets();
  const [head = "", events = "", store = ""] = first.split(/^\/\/ (?:Event by event|Or as).*$/m);
  if (store === "") throw new Error("the README does not begin with two ways to read a channel");
  const begin = replaced(replaced(head, "https://gateway.example", gateway), "chat-42", channel);
  return [await plain(begin + events), await plain(begin + store)];
}

/** JavaScript of it. */
export async function plain(snippet: string): Promise<string> {
  return (await transform(snippet, { loader: "ts", target: "es2022" })).code;
}

function replaced(text: string, what: string, by: string): string {
  if (!text.includes(what)) throw new Error(`the README says nothing of ${what}`);
  return text.replace(what, by);
}

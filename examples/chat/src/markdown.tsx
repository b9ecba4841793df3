// An answer's Markdown. While it streams only its last block changes, so only that one is parsed again.

import { memo, type ReactNode } from "react";
import ReactMarkdown from "react-markdown";
import gfm from "remark-gfm";

const Block = memo(
  ({ text }: { readonly text: string }): ReactNode => <ReactMarkdown remarkPlugins={[gfm]}>{text}</ReactMarkdown>,
);

export function Markdown({ text }: { readonly text: string }): ReactNode {
  // Blocks are only ever added at the end: their place is their name.
  return blocks(text).map((block, at) => <Block key={at} text={block} />);
}

/** Cuts where a block begins at the margin after an empty line, and not within a fence. */
function blocks(text: string): string[] {
  const found: string[] = [];
  let fenced = false;
  for (const piece of text.split(/\n\n+(?=\S)/)) {
    if (fenced) found.push(`${found.pop()}\n\n${piece}`);
    else found.push(piece);
    if ((piece.match(/^(```|~~~)/gm)?.length ?? 0) % 2 === 1) fenced = !fenced;
  }
  return found;
}

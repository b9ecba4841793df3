// The page's parts by their ids and places. A part that is missing is a mistake in index.html, said at once.

/** The element with this id. */
export function byId<T extends Element>(id: string, type: new () => T): T {
  return expectType(document.getElementById(id), id, type);
}

/** The first element inside `root` that matches. */
export function inside<T extends Element>(root: ParentNode, at: string, type: new () => T): T {
  return expectType(root.querySelector(at), at, type);
}

function expectType<T extends Element>(found: Element | null, at: string, type: new () => T): T {
  if (!(found instanceof type)) throw new Error(`the page has no ${at}`);
  return found;
}

/** Sets the text only where it differs: an untouched node costs no layout. */
export function say(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Tells assistive technology, and nobody else. */
export function announce(text: string): void {
  say(byId("announce", HTMLElement), text);
}

const numbers = new Intl.NumberFormat("en");

/** 12,345. */
export function count(value: number): string {
  return numbers.format(value);
}

/** 8 ms, 412 ms, 5.02 s. */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(2)} s`;
}

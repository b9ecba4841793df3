// What the page knows and the session wants to: whether it is seen, whether it will be frozen, whether there is a network
// and which. Each source is optional: a worker has no document, and Node has none of it.

import type { SessionEvent } from "./model.js";

/** A part of the Network Information API, where a browser has it. */
interface Network extends EventTarget {
  readonly type?: string;
}

/** Tells of the page; the returned function ends that. */
export function watchPage(tell: (event: SessionEvent) => void): () => void {
  const end = new AbortController();
  const on = (target: EventTarget | undefined, names: string, listener: () => void): void => {
    for (const name of names.split(" ")) {
      target?.addEventListener?.(name, listener, { signal: end.signal });
    }
  };
  const { document, navigator } = globalThis;
  const visible = (): void => tell({ type: "visible", visible: !document.hidden });
  const online = (): void => tell({ type: "online", online: navigator.onLine });
  on(document, "visibilitychange", visible);
  // Whatever is open keeps a page out of the back/forward cache, and is dead when a frozen page comes back.
  for (const target of [document, globalThis]) {
    on(target, "freeze pagehide", () => tell({ type: "sleep" }));
    on(target, "resume pageshow", () => tell({ type: "wake" }));
  }
  on(globalThis, "online offline", online);
  const network: Network | undefined = (navigator as { connection?: Network } | undefined)
    ?.connection;
  let { type } = network ?? {};
  on(network, "change", () => {
    // It also tells of estimates of speed: only another kind of network is another network.
    if (network?.type === type) return;
    type = network?.type;
    tell({ type: "network" });
  });
  if (document?.hidden) visible();
  if (navigator?.onLine === false) online();
  return () => end.abort();
}

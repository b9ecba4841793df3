// What the tabs of one origin have in common: locks, rooms to talk in, and whether this page is seen.
// The seam between sharing and the browser, so that tests can have many tabs in one process.

/** A place where what one says is heard by everybody else in it, in order. */
export interface Room {
  post(message: unknown): void;
  close(): void;
}

/** What the tabs have in common. */
export interface Ground {
  /**
   * Asks for a lock, or takes it from whoever has it. `lost` is told if somebody took it away, or if it could not even be
   * asked for. The returned function gives it back, or no longer wants it.
   */
  lock(name: string, steal: boolean, held: () => void, lost: (taken: boolean) => void): () => void;
  room(name: string, take: (message: unknown) => void): Room;
  /** Runs work after what has arrived already; hidden pages have no timer for that. */
  soon(work: () => void): void;
  /** Whether the page is seen. */
  readonly visible: boolean;
  /** Tells when the page is put aside, and when it is taken up again; the returned function ends that. */
  watch(away: () => void, back: () => void): () => void;
}

/** The browser's; undefined where it has no locks, as on a page without https, or outside of browsers. */
export function browserGround(): Ground | undefined {
  if (typeof location === "undefined" || typeof BroadcastChannel === "undefined") return undefined;
  const locks: LockManager | undefined = navigator.locks;
  if (!locks || !globalThis.crypto?.subtle) return undefined;
  const { port1, port2 } = new MessageChannel();
  const due: (() => void)[] = [];
  port1.onmessage = () => due.shift()?.();
  return {
    lock(name, steal, held, lost) {
      const waiting = new AbortController();
      let wanted = true;
      const request = new Promise<void>((release) => {
        waiting.signal.addEventListener("abort", () => release());
      });
      locks
        .request(name, steal ? { steal } : { signal: waiting.signal }, () => {
          if (wanted) held();
          return request;
        })
        .catch((error: unknown) => {
          if (!wanted) return;
          wanted = false;
          lost(error instanceof DOMException && error.name === "AbortError");
        });
      return () => {
        wanted = false;
        waiting.abort();
      };
    },
    room(name, take) {
      const channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }) => take(data);
      return { post: (message) => channel.postMessage(message), close: () => channel.close() };
    },
    soon(work) {
      due.push(work);
      port2.postMessage(0);
    },
    get visible() {
      return typeof document === "undefined" || document.visibilityState === "visible";
    },
    watch(away, back) {
      if (typeof document === "undefined") return () => undefined;
      const hooks = [
        [document, "freeze", away],
        [window, "pagehide", away],
        [document, "resume", back],
        [window, "pageshow", back],
      ] as const;
      for (const [target, event, then] of hooks) target.addEventListener(event, then);
      return () => {
        for (const [target, event, then] of hooks) target.removeEventListener(event, then);
      };
    },
  };
}

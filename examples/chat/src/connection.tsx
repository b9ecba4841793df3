// How the session with the gateway stands, and what to tell people about it.

import { type ReactNode, useSyncExternalStore } from "react";
import { useConnection } from "tokenway/react";

const NAMES: Readonly<Record<string, string>> = { webtransport: "WebTransport", websocket: "WebSocket" };

function watchNetwork(listener: () => void): () => void {
  addEventListener("online", listener);
  addEventListener("offline", listener);
  return () => {
    removeEventListener("online", listener);
    removeEventListener("offline", listener);
  };
}

/** Appears by a style's delay, so that a drop of a moment is not announced. */
export function ConnectionBanner(): ReactNode {
  const { state } = useConnection();
  const online = useSyncExternalStore(watchNetwork, () => navigator.onLine);
  if (state === "live" && online) return null;
  return (
    <p className="banner" role="status">
      <b>{online ? "Reconnecting…" : "You are offline."}</b> Answers go on without you and will be here when you are back.
    </p>
  );
}

export function ConnectionStatus(): ReactNode {
  const { state, transport, rttMs } = useConnection();
  const words = [NAMES[transport ?? ""] ?? transport, rttMs !== undefined && `${Math.max(1, Math.round(rttMs))} ms`];
  return (
    <footer data-state={state}>
      <i className={state === "live" ? "live still" : "away"} />
      {state === "live" ? words.filter(Boolean).join(" · ") : "Not connected"}
    </footer>
  );
}

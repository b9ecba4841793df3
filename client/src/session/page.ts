// What the page knows and the session wants to: whether it is seen, and whether there is a network.

import type { Session } from "./session.js";

/** Tells the session when the page comes, goes, and finds a network; the returned function ends that. */
export function watchPage(session: Session): () => void {
  if (typeof document === "undefined") return () => undefined;
  const visible = (): void =>
    session.dispatch({ type: "visible", visible: document.visibilityState === "visible" });
  const online = (): void => session.dispatch({ type: "online" });
  document.addEventListener("visibilitychange", visible);
  addEventListener("online", online);
  visible();
  return () => {
    document.removeEventListener("visibilitychange", visible);
    removeEventListener("online", online);
  };
}

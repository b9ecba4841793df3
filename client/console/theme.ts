// Light or dark: the system's choice until somebody makes another.

import { byId } from "./dom.js";

const KEY = "tokenway.theme";

/** Makes the switch work. */
export function theme(): void {
  const root = document.documentElement;
  const kept = localStorage.getItem(KEY);
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  byId("theme", HTMLButtonElement).addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const next = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
    if (next === system) {
      delete root.dataset.theme;
      localStorage.removeItem(KEY);
    } else {
      root.dataset.theme = next;
      localStorage.setItem(KEY, next);
    }
  });
}

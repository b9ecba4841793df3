// The prompt and what starts generations with it.

import { begin } from "./api.js";
import type { Deck } from "./deck.js";
import { byId, say } from "./dom.js";
import { KeyWanted } from "./key.js";
import { SAMPLES, sample } from "./samples.js";

const COUNT_KEY = "tokenway.count";
const MODEL_KEY = "tokenway.model";

/** Makes the composer work, with these models. */
export function composer(deck: Deck, models: Promise<readonly string[]>): void {
  const form = byId("composer", HTMLFormElement);
  const prompt = byId("prompt", HTMLTextAreaElement);
  const model = byId("model", HTMLSelectElement);
  const howMany = byId("count", HTMLSelectElement);
  const alert = byId("alert", HTMLElement);
  let next = 0;

  const complain = (message: string): void => {
    say(alert, message);
    alert.hidden = message === "";
  };

  const startOne = async (): Promise<void> => {
    const title = prompt.value.trim() || sample(next++);
    const card = deck.promise(title, model.value);
    try {
      const { channel, generation } = await begin(model.value, title);
      card.follow({ channel, title, model: model.value, generation });
      deck.save();
    } catch (error) {
      card.failed(error instanceof Error ? error.message : String(error));
    }
  };
  const start = (many: number): void => {
    complain("");
    for (let at = 0; at < many; at++) void startOne();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    start(1);
  });
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      start(1);
    }
  });
  byId("start-many", HTMLButtonElement).addEventListener("click", () =>
    start(Number(howMany.value)),
  );

  const kept = sessionStorage.getItem(COUNT_KEY);
  if (kept && [...howMany.options].some((one) => one.value === kept)) howMany.value = kept;
  const showCount = (): void => say(byId("many", HTMLElement), howMany.value);
  howMany.addEventListener("change", () => {
    sessionStorage.setItem(COUNT_KEY, howMany.value);
    showCount();
  });
  showCount();

  model.addEventListener("change", () => sessionStorage.setItem(MODEL_KEY, model.value));
  models
    .then((names) => {
      model.replaceChildren(...names.map((name) => new Option(name, name)));
      const last = sessionStorage.getItem(MODEL_KEY);
      if (last !== null && names.includes(last)) model.value = last;
    })
    .catch((error: unknown) => {
      model.replaceChildren(new Option("no models", ""));
      // A key is asked for in its own place.
      if (error instanceof KeyWanted) return;
      complain(error instanceof Error ? error.message : String(error));
    });

  const samples = SAMPLES.slice(0, 4).map((words) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = words;
    button.addEventListener("click", () => {
      prompt.value = words;
      prompt.focus();
    });
    return button;
  });
  byId("samples", HTMLElement).replaceChildren(...samples);
  if (/Mac|iP(hone|ad)/.test(navigator.userAgent)) {
    const key = byId("hint", HTMLElement).querySelector("kbd");
    if (key) key.textContent = "⌘";
  }
}

// Commands and their results, as the DevTools protocol and WebDriver BiDi both number them. Carries nothing itself.

import { STEP_MS, within } from "./browser.js";

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  /** BiDi says a word here and the rest in `message`; DevTools an object. */
  readonly error?: string | { readonly message: string };
  readonly message?: string;
  /** What is told without having been asked for. */
  readonly method?: string;
  readonly params?: Told;
}

type Told = Readonly<Record<string, unknown>>;

/** One conversation with a browser. */
export class Exchange {
  readonly #write: (text: string) => void;
  readonly #asked = new Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }
  >();
  readonly #listeners = new Map<string, (told: Told) => void>();
  #last = 0;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Sends a command and gives its result. */
  send<T>(method: string, params: object = {}, sessionId?: string): Promise<T> {
    const id = ++this.#last;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
    });
    this.#write(JSON.stringify({ id, method, params, sessionId }));
    return within(STEP_MS, method, answer) as Promise<T>;
  }

  /** Listens to events of this name, in place of who did before. */
  on(method: string, listener: (told: Told) => void): void {
    this.#listeners.set(method, listener);
  }

  /** Takes what the browser said; what answers nothing, and nobody listens to, is of no interest. */
  take(text: string): void {
    const { id, result, error, message, method = "", params = {} }: Answer = JSON.parse(text);
    if (id === undefined) this.#listeners.get(method)?.(params);
    const asked = id === undefined ? undefined : this.#asked.get(id);
    if (id === undefined || asked === undefined) return;
    this.#asked.delete(id);
    if (error === undefined) asked.resolve(result);
    else
      asked.reject(new Error(typeof error === "string" ? `${error}: ${message}` : error.message));
  }

  /** Nobody answers any more. */
  end(why: Error): void {
    for (const { reject } of this.#asked.values()) reject(why);
    this.#asked.clear();
  }
}

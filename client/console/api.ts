// The gateway's HTTP side, as far as the console needs it.

import { KeyWanted, shown } from "./key.js";

/** A generation that was started. */
export interface Begun {
  readonly channel: string;
  readonly generation: string;
}

/** The public model names, as `GET /v1/models` lists them. */
export async function models(): Promise<readonly string[]> {
  const answer = await expectOk(await fetch("/v1/models", { headers: shown() }));
  const list: unknown = isRecord(answer) ? answer.data : undefined;
  if (!Array.isArray(list)) throw new Error("the gateway sent no list of models");
  return list.flatMap((one: unknown) =>
    isRecord(one) && typeof one.id === "string" ? [one.id] : [],
  );
}

/** Starts a generation that needs nobody to watch it. */
export async function begin(model: string, prompt: string): Promise<Begun> {
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", prefer: "respond-async", ...shown() },
    body: JSON.stringify({ model, stream: true, messages: [{ role: "user", content: prompt }] }),
  });
  const answer = await expectOk(response);
  if (!isRecord(answer) || typeof answer.channel !== "string") {
    throw new Error("the gateway named no channel");
  }
  const { channel, generation } = answer;
  return { channel, generation: typeof generation === "string" ? generation : "" };
}

async function expectOk(response: Response): Promise<unknown> {
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer;
  const error = isRecord(answer) && isRecord(answer.error) ? answer.error.message : undefined;
  const message = typeof error === "string" ? error : `the gateway answered ${response.status}`;
  throw response.status === 401 ? new KeyWanted(message) : new Error(message);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

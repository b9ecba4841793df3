// Where the gateway listens: given, or asked for at `/v1/connect/info`, remembered, and asked for again on request
// (a restarted gateway may have other ports and another certificate).

import { ConnectionError, refusalOf } from "../errors.js";
import type { ConnectInfo } from "./transport.js";

const ANSWER_MS = 5_000;

/** A source of the answer. */
export type InfoSource = (again: boolean) => Promise<ConnectInfo> | ConnectInfo;

/** Given, or asked for. */
export function infoSource(
  url: string | URL | undefined,
  info: ConnectInfo | undefined,
): InfoSource {
  if (info) return () => info;
  const base = `${url ?? globalThis.location?.href}`;
  if (!/^https?:/i.test(base))
    throw refusalOf("bad_request", `connect needs a url with http, not ${base}`);
  let known: ConnectInfo | undefined;
  let asking: Promise<ConnectInfo> | undefined;
  return (again) => {
    if (known && !again) return known;
    asking ??= ask(new URL(base))
      .then((answer) => {
        known = answer;
        return answer;
      })
      .finally(() => {
        asking = undefined;
      });
    asking.catch(() => undefined);
    // While it is asked for again, what was known may still be right.
    return known ?? asking;
  };
}

async function ask(base: URL): Promise<ConnectInfo> {
  const response = await fetch(new URL("/v1/connect/info", base), {
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (!response.ok)
    throw new ConnectionError("unreachable", `the gateway answered ${response.status}`);
  return response.json();
}

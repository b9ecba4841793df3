// Where the gateway listens: given, or asked for at `/v1/connect/info`, remembered, and asked for again on request
// (a restarted gateway may have other ports and another certificate).

import { TokenwayError } from "../errors.js";
import type { ConnectInfo } from "./transport.js";

const ANSWER_MS = 5_000;

/** A source of the answer. */
export function infoSource(options: {
  readonly url?: string | URL;
  readonly info?: ConnectInfo;
}): (again: boolean) => Promise<ConnectInfo> | ConnectInfo {
  const { info } = options;
  if (info !== undefined) return () => info;
  const base = options.url ?? (typeof location === "undefined" ? undefined : location.href);
  if (base === undefined) throw new TokenwayError("bad_request", "connect needs a url or an info");
  let known: ConnectInfo | undefined;
  let asking: Promise<ConnectInfo> | undefined;
  return (again) => {
    if (known !== undefined && !again) return known;
    asking ??= ask(new URL(base))
      .then((answer) => {
        known = answer;
        return answer;
      })
      .finally(() => {
        asking = undefined;
      });
    // While it is asked for again, what was known may still be right.
    if (known === undefined) return asking;
    asking.catch(() => undefined);
    return known;
  };
}

async function ask(base: URL): Promise<ConnectInfo> {
  const response = await fetch(new URL("/v1/connect/info", base), {
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (!response.ok)
    throw new TokenwayError("unreachable", `the gateway answered ${response.status}`);
  return parse(await response.json(), base);
}

/** Takes an answer apart; what is missing is null. */
export function parse(answer: unknown, base: URL): ConnectInfo {
  const { webtransport, websocket, sse, protocol } = record(answer);
  const { url, certificate_hashes: hashes } = record(webtransport);
  const socket = isText(websocket) ? new URL(websocket, base) : null;
  if (socket) socket.protocol = socket.protocol.replace("http", "ws");
  return {
    webtransport: isText(url)
      ? { url, certificate_hashes: Array.isArray(hashes) ? hashes.filter(isText) : [] }
      : null,
    websocket: socket?.href ?? null,
    sse: isText(sse) ? sse : null,
    protocol: isText(protocol) ? protocol : "",
  };
}

const isText = (value: unknown): value is string => typeof value === "string";

/** The members of whatever it is. */
const record = (value: unknown): Record<string, unknown> => ({ ...(value as object | null) });

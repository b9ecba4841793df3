// Stock `useChat` in StrictMode, as an app has it: over our transport, or over the SDK's own and the gateway's view. Its
// address may say which carriers, what is sent, and where the gateway is said to listen.

import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport, type UIMessage } from "ai";
import { createElement as h, type ReactNode, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { type Client, type ConnectOptions, connect, sse, websocket, webtransport } from "tokenway";
import { TokenwayChatTransport } from "../../../src/ai-sdk/index.js";

declare global {
  interface Window {
    /** For tests. */
    chat?: { readonly client: Client; status: string; messages: readonly UIMessage[] };
  }
}

const query = new URLSearchParams(location.search);
const [id, gateway] = [query.get("id") ?? "", query.get("gateway") ?? ""];
const stock = query.has("stock");
const carriers = { webtransport, websocket, sse };
const over = query.get("over") as keyof typeof carriers | null;
const info = query.get("info");
const options: ConnectOptions = {
  url: gateway,
  ...(over !== null && { transports: [carriers[over]] }),
  ...(info !== null && { info: JSON.parse(info) }),
};
const client = connect(options);

const transport = stock
  ? new DefaultChatTransport({
      api: "/api/stock",
      prepareReconnectToStreamRequest: () => ({
        api: `${gateway}/v1/channels/${id}/ui-message-stream`,
      }),
    })
  : new TokenwayChatTransport({ client });

function Page(): ReactNode {
  const { messages, status, error, sendMessage, stop } = useChat({ id, transport, resume: true });
  window.chat = { client, status, messages };
  const stopped = async (): Promise<void> => {
    if (stock) await fetch(`/api/stop/${id}`, { method: "POST" });
    await stop();
  };
  return h(
    "main",
    { "data-status": status },
    messages.map(({ id: key, role, parts, metadata }) =>
      h(
        "article",
        { key, "data-role": role, "data-metadata": JSON.stringify(metadata) },
        parts.map((part, at) =>
          "text" in part ? h("p", { key: at, "data-type": part.type }, part.text) : null,
        ),
      ),
    ),
    error && h("output", null, error.message),
    h(
      "button",
      {
        type: "button",
        id: "send",
        onClick: () => void sendMessage({ text: query.get("say") ?? "Hi" }),
      },
      "Send",
    ),
    h("button", { type: "button", id: "stop", onClick: () => void stopped() }, "Stop"),
  );
}

createRoot(document.getElementById("root") as HTMLElement).render(
  h(StrictMode, null, h(Page, null)),
);

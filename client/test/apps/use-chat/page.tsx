// Stock `useChat` in StrictMode, as an app has it: over our transport, or over the SDK's own and the gateway's view.

import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { createElement as h, type ReactNode, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "tokenway";
import { TokenwayChatTransport } from "../../../src/ai-sdk/index.js";

const query = new URLSearchParams(location.search);
const [id, gateway] = [query.get("id") ?? "", query.get("gateway") ?? ""];
const stock = query.has("stock");

const transport = stock
  ? new DefaultChatTransport({
      api: "/api/stock",
      prepareReconnectToStreamRequest: () => ({
        api: `${gateway}/v1/channels/${id}/ui-message-stream`,
      }),
    })
  : new TokenwayChatTransport({ client: connect({ url: gateway }) });

function Page(): ReactNode {
  const { messages, status, error, sendMessage, stop } = useChat({ id, transport, resume: true });
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
      { type: "button", id: "send", onClick: () => void sendMessage({ text: "Hi" }) },
      "Send",
    ),
    h("button", { type: "button", id: "stop", onClick: () => void stopped() }, "Stop"),
  );
}

createRoot(document.getElementById("root") as HTMLElement).render(
  h(StrictMode, null, h(Page, null)),
);

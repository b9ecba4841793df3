import "@fontsource-variable/inter";
import "./style.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "tokenway";
import { TokenwayProvider } from "tokenway/react";
import { session } from "./api";
import { App } from "./app";

const { gateway, user } = await session();
const client = connect({
  url: gateway,
  // Asked for when connecting, and again before it expires.
  tokens: async () => (await session()).tokens,
  // All tabs of this user share one connection.
  share: user,
});

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <TokenwayProvider client={client}>
      <App />
    </TokenwayProvider>
  </StrictMode>,
);

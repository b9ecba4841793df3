import "@fontsource-variable/inter";
import "./style.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "tokenway";
import { TokenwayProvider } from "tokenway/react";
import { session } from "./api";
import { App } from "./app";

const { gateway, token } = await session();
const client = connect({ url: gateway, tokens: token === null ? [] : [token] });

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <TokenwayProvider client={client}>
      <App />
    </TokenwayProvider>
  </StrictMode>,
);

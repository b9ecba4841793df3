import "@fontsource-variable/inter";
import "./style.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "tokenway";
import { TokenwayProvider } from "tokenway/react";
import { session } from "./api";
import { App } from "./app";

const root = createRoot(document.getElementById("root") as HTMLElement);

async function start(): Promise<void> {
  const { gateway, user } = await session();
  const client = connect({
    url: gateway,
    // Asked for when connecting, and again before it expires.
    tokens: async () => (await session()).tokens,
    // All tabs of this user share one connection.
    share: user,
  });
  root.render(
    <StrictMode>
      <TokenwayProvider client={client}>
        <App />
      </TokenwayProvider>
    </StrictMode>,
  );
}

/** Without its own server, or without the gateway behind it, the app cannot say who is here. */
function begin(): void {
  start().catch((error: unknown) => {
    root.render(
      <main className="unavailable" role="alert">
        <h1>Not available right now</h1>
        <p>{error instanceof Error ? error.message : String(error)}</p>
        <button type="button" onClick={begin}>
          Try again
        </button>
      </main>,
    );
  });
}

begin();

// A client for a tree of components.

import {
  createContext,
  createElement,
  type ReactNode,
  useContext,
  useEffect,
  useState,
  useSyncExternalStore,
} from "react";
import { type Client, type ClientSnapshot, type ConnectOptions, connect } from "tokenway";

/** Null where there is a provider and no client yet. */
const Context = createContext<Client | null | undefined>(undefined);

/** What `<TokenwayProvider>` takes: a client of yours, or how to make one for as long as it is mounted. */
export interface TokenwayProviderProps {
  /** A client of yours, which is yours to close. */
  readonly client?: Client;
  /** Read when mounting, and again when `url` is another one. */
  readonly options?: ConnectOptions;
  /** Who may use the session. */
  readonly children?: ReactNode;
}

/**
 * Gives the components below it a session with the gateway. Without a client of yours there is one once it is mounted:
 * on a server, and in the render that hydrates what the server sent, channels are pending.
 */
export function TokenwayProvider({ client, options, children }: TokenwayProviderProps): ReactNode {
  const [own, setOwn] = useState<Client>();
  const url = String(options?.url ?? "");
  useEffect(() => {
    if (client) return;
    const made = connect(options);
    setOwn(made);
    return () => made.close();
  }, [client, url]);
  return createElement(Context.Provider, { value: client ?? own ?? null }, children);
}

/** The session of this part of the page; undefined on a server, and until a provider's own client is there. */
export function useTokenway(): Client | undefined {
  const client = useContext(Context);
  if (client === undefined) throw new Error("no <TokenwayProvider> above");
  return client ?? undefined;
}

const IDLE: ClientSnapshot = {
  state: "idle",
  transport: undefined,
  rttMs: undefined,
  welcome: undefined,
  recoveries: [],
  shared: undefined,
  failure: undefined,
  error: undefined,
};
const idle = (): ClientSnapshot => IDLE;
const never = () => (): void => undefined;

/** How the session stands: for a banner that says that the network is away. */
export function useConnection(): ClientSnapshot {
  const status = useTokenway()?.status;
  return useSyncExternalStore(status?.subscribe ?? never, status?.getSnapshot ?? idle, idle);
}

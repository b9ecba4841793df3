// A client for a tree of components, and channels to render from.

import {
  createContext,
  createElement,
  type ReactNode,
  useContext,
  useDeferredValue,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from "react";
import {
  type ChannelSnapshot,
  type Client,
  type ClientSnapshot,
  type ConnectOptions,
  connect,
  type From,
  type GenerationSnapshot,
  type Published,
  type ToolCallSnapshot,
  type Usage,
} from "tokenway";
import { sharedChannel } from "./shared.js";
import { SMOOTH_LAG_MS, useSmoothText } from "./smooth.js";

const Context = createContext<Client | undefined>(undefined);

/** What `<TokenwayProvider>` takes: a client of yours, or how to make one for as long as it is mounted. */
export interface TokenwayProviderProps {
  readonly client?: Client;
  readonly options?: ConnectOptions;
  readonly children?: ReactNode;
}

/** Gives the components below it a session with the gateway. */
export function TokenwayProvider({ client, options, children }: TokenwayProviderProps): ReactNode {
  const [own, setOwn] = useState<Client>();
  const url = String(options?.url ?? "");
  useEffect(() => {
    if (client) return;
    const made = connect(options);
    setOwn(made);
    return () => made.close();
  }, [client, url]);
  const value = client ?? own;
  return value ? createElement(Context.Provider, { value }, children) : null;
}

/** The session of this part of the page. */
export function useTokenway(): Client {
  const client = useContext(Context);
  if (client === undefined) throw new Error("useTokenway needs a <TokenwayProvider> above it");
  return client;
}

/** How the session stands: for a banner that says that the network is away. */
export function useConnection(): ClientSnapshot {
  const { status } = useTokenway();
  return useSyncExternalStore(
    (listener) => status.subscribe(listener),
    () => status.getSnapshot(),
    () => status.getSnapshot(),
  );
}

/** How to look at a channel. */
export interface UseChannelOptions {
  /** Where to begin; `snapshot` by default: everything so far in one piece, then the tail. */
  readonly from?: From;
  /** Suspends until the gateway has answered. */
  readonly suspense?: boolean;
  /** Lets React put the rendering of what is new behind what is urgent. */
  readonly deferred?: boolean;
}

/** A channel as it is now, and what can be done with it. */
export interface UseChannel {
  readonly snapshot: ChannelSnapshot;
  /** Stops a generation, or all that run. */
  cancel(generation?: string): Promise<void>;
  /** Puts a custom event on it. */
  publish(custom: { type: string; data: unknown }): Promise<Published>;
}

/** Follows a channel for as long as the component is mounted. Components with the same arguments share one subscription. */
export function useChannel(channel: string, options: UseChannelOptions = {}): UseChannel {
  const { from = "snapshot", suspense = false, deferred = false } = options;
  const client = useTokenway();
  const place = typeof from === "string" ? from : `${from.epoch}.${from.seq}`;
  const shared = useMemo(() => sharedChannel(client, channel, from), [client, channel, place]);
  const first = suspense && typeof window !== "undefined" ? shared.first() : undefined;
  if (first) throw first;
  const now = useSyncExternalStore(shared.subscribe, shared.getSnapshot, shared.getServerSnapshot);
  const later = useDeferredValue(now);
  const snapshot = deferred ? later : now;
  return useMemo(
    () => ({
      snapshot,
      cancel: (generation) => client.cancel(channel, generation),
      publish: (custom) => client.publish(channel, custom),
    }),
    [snapshot, client, channel],
  );
}

/** How to look at a generation. */
export interface UseGenerationOptions extends UseChannelOptions {
  /** Its id; the channel's newest by default. */
  readonly generation?: string;
  /** Lets text flow evenly: `true`, or the most milliseconds it may lag behind what has come. */
  readonly smooth?: boolean | number;
}

/** A generation as it is now. */
export interface UseGeneration {
  /** `pending` until the gateway has answered, `none` where the channel has no such generation. */
  readonly state: "pending" | "none" | GenerationSnapshot["state"];
  readonly text: string;
  readonly reasoning: string;
  readonly refusal: string;
  readonly toolCalls: readonly ToolCallSnapshot[];
  readonly citations: readonly unknown[];
  readonly usage: Usage | undefined;
  /** Why it failed, or why the channel cannot be read. */
  readonly error: { readonly code: string; readonly message: string } | undefined;
  readonly snapshot: GenerationSnapshot | undefined;
  /** Stops it. */
  stop(): Promise<void>;
}

const NO_CALLS: readonly ToolCallSnapshot[] = [];
const NO_CITATIONS: readonly unknown[] = [];

/** Follows one generation of a channel. */
export function useGeneration(channel: string, options: UseGenerationOptions = {}): UseGeneration {
  const { generation, smooth = false } = options;
  const { snapshot, cancel } = useChannel(channel, options);
  const found =
    generation === undefined
      ? snapshot.generations.at(-1)
      : snapshot.generations.find((one) => one.started?.id === generation);
  const lagMs = smooth === true ? SMOOTH_LAG_MS : smooth === false ? 0 : smooth;
  const text = useSmoothText(found?.text.toString() ?? "", lagMs);
  const id = found?.started?.id;
  return {
    state: found?.state ?? (snapshot.status === "pending" ? "pending" : "none"),
    text,
    reasoning: found?.reasoning.toString() ?? "",
    refusal: found?.refusal.toString() ?? "",
    toolCalls: found?.toolCalls ?? NO_CALLS,
    citations: found?.citations ?? NO_CITATIONS,
    usage: found?.usage,
    error: found?.failed ?? snapshot.error,
    snapshot: found,
    stop: () => cancel(id),
  };
}

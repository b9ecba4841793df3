// Channels and generations to render from. A component renders when what it shows has changed, at most once a frame.

import { startTransition, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import type {
  ChannelSnapshot,
  Client,
  From,
  GenerationSnapshot,
  Published,
  ToolCallSnapshot,
  Usage,
} from "tokenway";
import { useTokenway } from "./provider.js";
import { type Looking, nowhere, sharedChannel } from "./shared.js";
import { SMOOTH_LAG_MS, useSmoothText } from "./smooth.js";

/** How to look at a channel. */
export interface UseChannelOptions {
  /** Where to begin; `snapshot` by default: everything so far in one piece, then the tail. */
  readonly from?: From;
  /** Suspends until the gateway has answered. */
  readonly suspense?: boolean;
  /**
   * Lets React put the rendering of what is new behind what is urgent, and leave steps out when it is behind; text that
   * `smooth` paces is drawn frame by frame all the same.
   */
  readonly deferred?: boolean;
}

/** A channel as it is now, and what can be done with it. */
export interface UseChannel {
  /** What the channel says so far. */
  readonly snapshot: ChannelSnapshot;
  /** Stops a generation, or all that run. */
  cancel(generation?: string): Promise<void>;
  /** Puts a custom event on it. */
  publish(custom: { type: string; data: unknown }): Promise<Published>;
  /** Reads it again where it could not be read, or was deleted or has expired: something may have begun there since. */
  retry(): void;
}

/**
 * Follows a channel for as long as the component is mounted; undefined follows none. Components with the same arguments
 * share one subscription.
 */
export function useChannel(
  channel: string | undefined,
  options: UseChannelOptions = {},
): UseChannel {
  const client = useTokenway();
  const looking = useLooking(client, channel, options);
  const snapshot = useLook(looking, whole, options);
  return useMemo(
    () => ({
      snapshot,
      cancel: async (generation) => there(client, channel).cancel(channel ?? "", generation),
      publish: async (custom) => there(client, channel).publish(channel ?? "", custom),
      retry: looking.retry,
    }),
    [snapshot, client, channel, looking],
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
  /** The answer so far, or as much of it as `smooth` shows. */
  readonly text: string;
  /** What the model thought before, as far as the provider shows it. */
  readonly reasoning: string;
  /** Why it does not answer; empty if it does. */
  readonly refusal: string;
  /** In the order in which they began. */
  readonly toolCalls: readonly ToolCallSnapshot[];
  /** JSON as the provider gave it. */
  readonly citations: readonly unknown[];
  /** The last token counts. */
  readonly usage: Usage | undefined;
  /** Why it failed, or why the channel cannot be read. */
  readonly error: { readonly code: string; readonly message: string } | undefined;
  /** All that is known of it. */
  readonly snapshot: GenerationSnapshot | undefined;
  /** Stops it. */
  stop(): Promise<void>;
  /** Reads the channel again, as `UseChannel.retry`: for one that was not there before its first answer. */
  retry(): void;
}

const NONE: readonly never[] = [];

const whole = (of: ChannelSnapshot): ChannelSnapshot => of;
const errorOf = ({ error }: ChannelSnapshot): ChannelSnapshot["error"] => error;
const find = (
  { generations, status }: ChannelSnapshot,
  id?: string,
): GenerationSnapshot | ChannelSnapshot["status"] =>
  (id === undefined ? generations.at(-1) : generations.find(({ started }) => started?.id === id)) ??
  status;

/** Follows one generation of a channel, and renders only for what is new of it. */
export function useGeneration(
  channel: string | undefined,
  options: UseGenerationOptions = {},
): UseGeneration {
  const { generation, smooth = false } = options;
  const client = useTokenway();
  const looking = useLooking(client, channel, options);
  const seen = useLook(looking, find, options, generation);
  const broken = useLook(looking, errorOf, options);
  const found = typeof seen === "string" ? undefined : seen;
  const lagMs = smooth === true ? SMOOTH_LAG_MS : smooth || 0;
  const id = found?.started?.id;
  return {
    state: found?.state ?? (seen === "pending" ? "pending" : "none"),
    text: useSmoothText(found?.text.toString() ?? "", lagMs, id),
    reasoning: found?.reasoning.toString() ?? "",
    refusal: found?.refusal.toString() ?? "",
    toolCalls: found?.toolCalls ?? NONE,
    citations: found?.citations ?? NONE,
    usage: found?.usage,
    error: found?.failed ?? broken,
    snapshot: found,
    stop: async () => there(client, channel).cancel(channel ?? "", generation ?? id),
    retry: looking.retry,
  };
}

function useLooking(
  client: Client | undefined,
  channel: string | undefined,
  { from = "snapshot", suspense = false }: UseChannelOptions,
): Looking {
  const looking = useMemo(
    () =>
      client === undefined || channel === undefined
        ? nowhere(channel)
        : sharedChannel(client, channel, from),
    [client, channel, JSON.stringify(from)],
  );
  // A server has no session: it sends the page as it begins.
  const first = suspense && typeof window !== "undefined" ? looking.first() : undefined;
  if (first) throw first;
  return looking;
}

/** What `select` sees of a channel, or of the generation `of` there; it is the same function each time. */
function useLook<T>(
  looking: Looking,
  select: (from: ChannelSnapshot, of?: string) => T,
  { deferred }: UseChannelOptions,
  of?: string,
): T {
  const get = useMemo(() => () => select(looking.getSnapshot(), of), [looking, of, deferred]);
  const [held, hold] = useState<readonly [from: () => T, seen: T]>();
  useEffect(() => {
    if (!deferred) return;
    // A store's news are urgent, and what is urgent throws away what is being rendered: one frame after the other, no slow
    // rendering would ever end. News of a transition wait for it; so from now on all news are such.
    let last = get();
    hold([get, last]);
    return looking.subscribe(() => {
      const seen = get();
      if (seen === last) return;
      last = seen;
      startTransition(() => hold([get, seen]));
    });
  }, [get]);
  return useSyncExternalStore(looking.subscribe, held?.[0] === get ? () => held[1] : get, () =>
    select(looking.getServerSnapshot(), of),
  );
}

function there(client: Client | undefined, channel: string | undefined): Client {
  if (client === undefined || channel === undefined) throw new Error("no channel yet");
  return client;
}

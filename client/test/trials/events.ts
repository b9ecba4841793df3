// What is done to browsers, their networks and what they talk to.

import { now, pause, until } from "./browser/browser.js";
import { brief, type Ground, type Viewer } from "./ground.js";
import { Impair } from "./net/impair.js";
import type { Plan } from "./page/trial.js";

const FROZEN_MS = 30_000;
const OFFLINE_MS = 10_000;
/** How long a page is left for another one. */
const AWAY_MS = 1_000;
/** How long what was killed, or an address that was taken away, is missing. */
export const GAP_MS = 200;

/** What happened to one page, by the wall clock. */
export interface Times {
  /** From when on the loss could be noticed; never where the page begins anew. */
  readonly since: number;
  /** When the path worked again. */
  readonly works: number;
  /** The last seq of the page's channel until then, where what is new has to come after it. */
  readonly after?: number;
}

/** Tells of each page when it happened to it. */
export type Done = (viewer: Viewer) => Times | Promise<Times>;

/** One thing that is done to all pages at once. */
export type Event = (ground: Ground, front: Front, viewers: readonly Viewer[]) => Promise<Done>;

/** Does `harm`, and `mend` after a while. */
async function meanwhile(ms: number, harm: () => Promise<void>, mend: () => Promise<void>) {
  const since = now();
  await harm();
  await pause(ms);
  await mend();
  const works = now();
  return () => ({ since, works });
}

/** Everything that is done, by what a person would call it. */
export const EVENTS: Readonly<Record<string, Event>> = {
  "reload in the middle": async (_ground, _front, viewers) => {
    // One by one, as people do: all at once they would wait for each other's scripts.
    for (const viewer of viewers) {
      await viewer.page.reload();
      await isBack(viewer);
    }
    return async (viewer) => {
      const { began: works } = await brief(viewer);
      return { since: Number.POSITIVE_INFINITY, works };
    };
  },
  "frozen for 30 s": async ({ browser }, _front, viewers) => {
    // Looked at again one by one, as people do.
    const thawed = await browser.freeze(FROZEN_MS, (page, since) =>
      showsMore(viewers.find((viewer) => viewer.page === page) as Viewer, since),
    );
    return ({ page }) => ({ since: thawed(page), works: thawed(page) });
  },
  "offline for 10 s": ({ namespace }) =>
    meanwhile(
      OFFLINE_MS,
      () => namespace.unplug(),
      () => namespace.plug(),
    ),
  "silent for 10 s": ({ namespace }) =>
    meanwhile(
      OFFLINE_MS,
      () => namespace.silence(true),
      () => namespace.silence(false),
    ),
  "address removed": async ({ namespace }) => {
    const since = now();
    await namespace.swapAddress(GAP_MS);
    const works = now();
    return () => ({ since, works });
  },
  "left and come back to": async ({ browser, site, gateway }, _front, viewers) => {
    await Promise.all(viewers.map((viewer) => leave(viewer, site.url("ticker", null))));
    await pause(AWAY_MS);
    const times = new Map<Viewer, Times>();
    for (const viewer of viewers) {
      const { last_seq: after } = await gateway.channel(viewer.channels[0] ?? "");
      const { kept, works } = await comeBack(viewer);
      // Firefox keeps no page that has a connection when it is left, and does not wait for it to be given up.
      if (!kept && browser.name === "chromium") throw new Error(`${viewer.carrier}: not kept`);
      times.set(viewer, { since: kept ? works : Number.POSITIVE_INFINITY, works, after });
      await isBack(viewer);
    }
    return (viewer) => times.get(viewer) as Times;
  },
  "killed and restarted": (_ground, front) =>
    meanwhile(
      GAP_MS,
      () => front.kill(),
      () => front.stand(),
    ),
};

/** Waits until a page shows something, and has a connection. */
function isBack(viewer: Viewer): Promise<true> {
  return until(`the page with its text (${viewer.carrier})`, 60_000, async () => {
    const { renders, transport } = await brief(viewer);
    return (renders > 0 && transport !== undefined) || undefined;
  });
}

/** Waits until a page has shown something since then. */
function showsMore({ page, carrier }: Viewer, since: number): Promise<true> {
  return until(`the next token (${carrier})`, 60_000, () =>
    page.evaluate(
      (since) => window.trial?.diary().renders.some(([at]) => at >= since) || undefined,
      since,
    ),
  );
}

/** The reader follows a link. */
async function leave({ page, carrier }: Viewer, url: string): Promise<void> {
  await page.evaluate((to) => void setTimeout(() => location.assign(to)), url);
  await until(`another page in its place (${carrier})`, 20_000, async () => {
    const isThere = () => window.ticker !== undefined || undefined;
    return page.evaluate(isThere, null).catch(() => undefined);
  });
}

/**
 * And goes back. Tells whether it is the same document, which came out of the back/forward cache, and when it was shown, or
 * when another one began in its place.
 */
async function comeBack({ page, carrier }: Viewer): Promise<{ kept: boolean; works: number }> {
  const left = now();
  await page.evaluate(() => void setTimeout(() => history.back()), null);
  return until(`the page again (${carrier})`, 20_000, async () => {
    const look = () => {
      const { began, shows } = window.trial?.diary() ?? {};
      return { began, shown: shows?.find(([, persisted]) => persisted)?.[0] };
    };
    // In between there is no page to ask.
    const { began = 0, shown } = (await page.evaluate(look, null).catch(() => undefined)) ?? {};
    if (shown !== undefined) return { kept: true, works: shown };
    return began > left ? { kept: false, works: began } : undefined;
  });
}

/**
 * The gateway itself is killed and started again, and the app asks the next question at once: what ran is over, so the next
 * token is the next answer's.
 */
export async function killGateway(ground: Ground, viewers: readonly Viewer[]): Promise<Done> {
  const { gateway } = ground;
  const since = now();
  await gateway.kill();
  await pause(GAP_MS);
  await gateway.restart();
  const works = now();
  const ends = await Promise.all(
    viewers.map(async ({ channels: [channel = ""] }) => {
      const { last_seq: end, generations } = await gateway.channel(channel);
      const code = generations.at(-1)?.error?.code;
      if (code !== "gateway_lost") throw new Error(`what ran on ${channel} ended as ${code}`);
      await ground.generate(channel);
      return end;
    }),
  );
  return (viewer) => ({ since, works, after: ends[viewers.indexOf(viewer)] ?? 0 });
}

/** Proxies before the gateway, in one process that can be killed without what is behind it. */
export class Front {
  readonly #to: Readonly<Record<"tcp" | "udp", string>>;
  readonly #at: Record<"tcp" | "udp", string>;
  #impair: Impair;

  constructor(ground: Ground, info: Plan["info"]) {
    const host = `${ground.namespace.outside}:0`;
    this.#at = { tcp: host, udp: host };
    const udp = new URL(info.webtransport?.url ?? "").host;
    this.#to = { tcp: new URL(ground.gateway.url).host, udp };
    this.#impair = Impair.start();
  }

  async stand(): Promise<void> {
    for (const kind of ["tcp", "udp"] as const) {
      this.#at[kind] = await this.#impair.open(kind, kind, this.#at[kind], this.#to[kind]);
    }
  }

  async kill(): Promise<void> {
    await this.#impair.kill();
    this.#impair = Impair.start();
  }

  end(): Promise<void> {
    return this.#impair.kill();
  }

  /** Where the gateway is, seen from before it. */
  readonly reach = (info: Plan["info"]): Plan["info"] => ({
    ...info,
    webtransport: info.webtransport && {
      ...info.webtransport,
      url: info.webtransport.url.replace(this.#to.udp, this.#at.udp),
    },
    websocket: info.websocket?.replace(this.#to.tcp, this.#at.tcp) ?? null,
    sse: info.sse?.replace(this.#to.tcp, this.#at.tcp) ?? null,
  });
}

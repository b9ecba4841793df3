// Where a browser is tried: a namespace, and on this side of its cable a provider, a gateway and the trials' pages.

import { randomUUID } from "node:crypto";
import { Gateway } from "../browser/gateway.js";
import { type Browser, type LaunchOptions, type Page, until } from "./browser/browser.js";
import { Namespace } from "./net/namespace.js";
import type { Plan } from "./page/trial.js";
import { Provider } from "./provider.js";
import { Site } from "./site.js";

export type Carrier = Plan["carriers"][number];

/** One page and what it follows. */
export interface Viewer {
  readonly page: Page;
  /** What it began with. */
  readonly carrier: Carrier;
  readonly channels: readonly string[];
}

/** What is read of a page's diary without its texts. */
export interface Brief {
  readonly began: number;
  readonly state: string;
  readonly transport: string | undefined;
  readonly renders: number;
}

/** Where a gateway keeps channels. */
export type Engine = "memory" | "disk";

type Parts = Pick<Ground, "namespace" | "provider" | "site" | "gateway" | "browser">;

/** A browser and all it needs. */
export class Ground {
  readonly namespace: Namespace;
  readonly provider: Provider;
  readonly site: Site;
  readonly gateway: Gateway;
  readonly browser: Browser;

  private constructor(parts: Parts) {
    this.namespace = parts.namespace;
    this.provider = parts.provider;
    this.site = parts.site;
    this.gateway = parts.gateway;
    this.browser = parts.browser;
  }

  /** Prepares everything; `number` is the namespace's. */
  static async prepare(
    number: number,
    tokensPerSecond: number,
    launch: (options: LaunchOptions) => Promise<Browser>,
  ): Promise<Ground> {
    const namespace = await Namespace.make(number);
    const provider = await Provider.start(tokensPerSecond);
    const site = await Site.start(namespace.outside, ["trial", "ticker"]);
    const gateway = await start({ namespace, provider, site }, "memory");
    const browser = await launch({ namespace: namespace.name });
    return new Ground({ namespace, provider, site, gateway, browser });
  }

  /** The same ground with a gateway more, whose store is this one, for as long as `use` takes. */
  async beside<T>(engine: Engine, use: (ground: Ground) => Promise<T>): Promise<T> {
    const gateway = await start(this, engine);
    try {
      const { namespace, provider, site, browser } = this;
      return await use(new Ground({ namespace, provider, site, gateway, browser }));
    } finally {
      await gateway.stop();
    }
  }

  /** Starts generations and opens a page that follows them; it is there once it shows something. */
  async view(options: {
    readonly carriers: readonly [Carrier, ...Carrier[]];
    readonly many?: number;
    readonly delivery?: Plan["delivery"];
    /** Whether the channels have names, so that more generations may follow there. */
    readonly named?: boolean;
    /** Where the page is told that the gateway is, if not where it is. */
    readonly reach?: (info: Plan["info"]) => Plan["info"];
  }): Promise<Viewer> {
    const { carriers, many = 1, delivery = "stream", reach = (info) => info } = options;
    const info = reach(await this.info());
    const names = Array.from({ length: many }, () => (options.named ? randomUUID() : undefined));
    const channels = await Promise.all(names.map((name) => this.generate(name)));
    const plan: Plan = { info, carriers, channels, delivery };
    const page = await this.browser.open(this.site.url("trial", plan));
    const [carrier] = carriers;
    const viewer = { page, carrier, channels };
    await until(`the first token over ${carrier}`, 20_000, async () => {
      const { renders, transport } = await brief(viewer);
      if (renders === 0 || transport === undefined) return undefined;
      if (transport !== carrier) throw new Error(`${transport} where ${carrier} was to be first`);
      return true;
    });
    return viewer;
  }

  /** Where the gateway says that it is. */
  async info(): Promise<Plan["info"]> {
    const answer = await fetch(`${this.gateway.url}/v1/connect/info`);
    return (await answer.json()) as Plan["info"];
  }

  /** Begins a generation, on a channel of this name or of its own; gives the channel. */
  async generate(name?: string): Promise<string> {
    const response = await fetch(`${this.gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        prefer: "respond-async",
        ...(name !== undefined && { "tokenway-channel": name }),
      },
      body: JSON.stringify({
        model: "trial",
        stream: true,
        messages: [{ role: "user", content: "Speak until you are told to stop." }],
      }),
    });
    if (response.status !== 202) throw new Error(await response.text());
    return ((await response.json()) as { channel: string }).channel;
  }

  async leave(): Promise<void> {
    await this.browser.close().catch((error) => console.log(`the browser's end: ${error}`));
    this.provider.stop();
    this.site.stop();
    await this.gateway.stop();
    await this.namespace.remove();
  }
}

function start(
  { namespace, provider, site }: Pick<Parts, "namespace" | "provider" | "site">,
  engine: Engine,
): Promise<Gateway> {
  const config = `
version: 1
providers:
  trial: { dialect: openai, base_url: "${provider.baseUrl}" }
models:
  trial: { targets: [{ provider: trial, model: trial }] }
access: { allowed_origins: ["${site.origin}"] }
store: ${engine === "disk" ? "{ engine: disk, path: channels }" : "{ engine: memory }"}
`;
  return Gateway.start({ host: namespace.outside, config });
}

/** How the page is doing. */
export function brief({ page }: Viewer): Promise<Brief> {
  return page.evaluate(() => {
    if (window.trial === undefined) throw new Error("the page has not run");
    const { began, state, transport, renders } = window.trial.diary();
    return { began, state, transport, renders: renders.length };
  }, null);
}

// Serves the trials' pages: each is one script, bundled from this folder's `page`. Isolated, so that clocks are fine.

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** A web server with the trials' pages: `/NAME` runs `page/NAME.ts`. */
export class Site {
  readonly #server: Server;
  readonly #scripts = new Map<string, string>();

  private constructor() {
    this.#server = createServer((request, response) => {
      const name = new URL(request.url ?? "/", "http://site").pathname.slice(1);
      const script = this.#scripts.get(name);
      response.writeHead(script === undefined ? 404 : 200, {
        "content-type": "text/html; charset=utf-8",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
        // Which keeps no page out of the back/forward cache.
        "cache-control": "no-cache",
      });
      response.end(`<!doctype html><title>${name}</title><body><script>${script}</script>`);
    });
  }

  /** Bundles the pages of these names and serves them at `host`. */
  static async start(host: string, names: readonly string[]): Promise<Site> {
    const site = new Site();
    for (const name of names) {
      const { outputFiles } = await build({
        entryPoints: [fileURLToPath(new URL(`page/${name}.ts`, import.meta.url))],
        bundle: true,
        write: false,
        format: "iife",
        target: "es2022",
        logLevel: "warning",
      });
      site.#scripts.set(name, outputFiles[0]?.text.replaceAll("</script", "<\\/script") ?? "");
    }
    site.#server.listen(0, host);
    await once(site.#server, "listening");
    return site;
  }

  /** As browsers say it. */
  get origin(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}`;
  }

  /** Where a page is, with something for it to know. */
  url(name: string, plan: unknown): string {
    return `${this.origin}/${name}#${encodeURIComponent(JSON.stringify(plan))}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

// What a page pays: each entry point bundled, minified and compressed with brotli, against its budget. What an entry loads
// later, if at all, is a line of its own: what it adds where all is in one file. In a file of its own, as bundlers put it,
// it compresses apart, and what both need is exported: some hundred bytes more. What pages load in all is weighed that way.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";
import { loaded, pages, split } from "./pages.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** What is loaded later, when, and as which modules. */
const later = [
  { name: "+ WebTransport", when: "where it is dialled", file: "/webtransport.js", budget: 2_450 },
  { name: "+ WebSocket", when: "where it is dialled", file: "/websocket.js", budget: 900 },
  {
    name: "+ sharing tabs",
    when: "in pages that can share",
    file: "share/index.js",
    budget: 3_600,
  },
  { name: "+ the page's news", when: "while it connects", file: "/page.js", budget: 450 },
  { name: "+ fetched tokens", when: "where they are fetched", file: "/renewal.js", budget: 700 },
  {
    name: "+ SSE, long poll",
    when: "where nothing else gets through",
    file: "http/connection.js",
    budget: 4_000,
  },
];
const entries = [
  { name: "tokenway", file: "src/index.ts", external: [], budget: 12_000, later },
  {
    name: "tokenway/react",
    file: "src/react/index.ts",
    external: ["tokenway", "react"],
    budget: 2_000,
  },
  {
    name: "tokenway/ai-sdk",
    file: "src/ai-sdk/index.ts",
    external: ["tokenway", "ai"],
    budget: 3_000,
  },
];

for (const { name, file, external, budget, later = [] } of entries) {
  const files = later.map((one) => one.file);
  const bytes = await weigh(file, external, files);
  report(name, bytes, budget);
  for (const one of later) {
    const without = files.filter((other) => other !== one.file);
    report(one.name, (await weigh(file, external, without)) - bytes, one.budget, one.when);
  }
}

const files = await split();
for (const { name, parts, budget, when } of pages) {
  const bytes = loaded(files, parts).reduce((sum, one) => sum + one.bytes, 0);
  report(name, bytes, budget, when);
}

async function weigh(file, external, without) {
  const leaveOut = {
    name: "leave out",
    setup({ onResolve }) {
      onResolve({ filter: /./ }, ({ path, kind }) => {
        const left = kind === "dynamic-import" && without.some((one) => path.endsWith(one));
        return left ? { path, external: true } : undefined;
      });
    },
  };
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [file],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    external,
    plugins: [leaveOut],
    logLevel: "warning",
  });
  return brotliCompressSync(outputFiles[0].contents).length;
}

function report(name, bytes, budget, when = "") {
  const over = bytes > budget;
  const line = `${name.padEnd(20)}${String(bytes).padStart(6)} of ${String(budget).padStart(6)} bytes`;
  console.log(`${line}  ${over ? "OVER ITS BUDGET" : when}`.trimEnd());
  if (over) process.exitCode = 1;
}

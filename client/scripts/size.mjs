// What a page pays: each entry point bundled, minified and compressed with brotli, against its budget. What an entry
// loads later, if at all, is a line of its own: what it adds where all is in one file. In a file of its own, as bundlers
// put it, it compresses apart, and what both need is exported: about 600 bytes more.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const entries = [
  {
    name: "tokenway",
    file: "src/index.ts",
    external: [],
    budget: 12_000,
    later: { name: "+ sharing tabs", file: "share/index", budget: 3_600 },
  },
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

for (const { name, file, external, budget, later } of entries) {
  const bytes = await weigh(file, external, later?.file);
  report(name, bytes, budget);
  if (later) report(later.name, (await weigh(file, external)) - bytes, later.budget);
}

async function weigh(file, external, without) {
  const leaveOut = {
    name: "leave out",
    setup({ onResolve }) {
      onResolve({ filter: new RegExp(without ?? "^$") }, ({ path }) => ({ path, external: true }));
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

function report(name, bytes, budget) {
  const over = bytes > budget;
  console.log(`${name.padEnd(16)} ${bytes} of ${budget} bytes${over ? ": over its budget" : ""}`);
  if (over) process.exitCode = 1;
}

// What a page pays: each entry point bundled, minified and compressed with brotli, against its budget.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const entries = [
  { name: "tokenway", file: "src/index.ts", external: [], budget: 12_000 },
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

for (const { name, file, external, budget } of entries) {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [file],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    external,
    logLevel: "warning",
  });
  const bytes = brotliCompressSync(outputFiles[0].contents).length;
  const over = bytes > budget;
  console.log(`${name.padEnd(16)} ${bytes} of ${budget} bytes${over ? ": over its budget" : ""}`);
  if (over) process.exitCode = 1;
}

// Builds the console into ../console/dist, which is committed and served by the gateway.
// With --verify it builds into a temporary folder instead and fails if the committed files differ by a byte.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const committed = join(root, "../console/dist");
const files = ["index.html", "console.js", "console.css", "ops.html", "ops.js", "ops.css"];

async function buildInto(folder) {
  await mkdir(folder, { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: { console: "console/main.ts", ops: "console/ops/main.ts" },
    outdir: folder,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    logLevel: "warning",
  });
  await build({
    absWorkingDir: root,
    entryPoints: { console: "console/style.css", ops: "console/ops/ops.css" },
    outdir: folder,
    bundle: true,
    minify: true,
    charset: "utf8",
    // Colours by light-dark(), which this is the first to understand.
    target: ["chrome123", "firefox120", "safari17.5"],
    logLevel: "warning",
  });
  await writeFile(join(folder, "index.html"), await readFile(join(root, "console/index.html")));
  await writeFile(join(folder, "ops.html"), await readFile(join(root, "console/ops/ops.html")));
}

if (process.argv.includes("--verify")) {
  const folder = await mkdtemp(join(tmpdir(), "tokenway-console-"));
  try {
    await buildInto(folder);
    for (const file of files) {
      const fresh = await readFile(join(folder, file));
      const kept = await readFile(join(committed, file)).catch(() => Buffer.alloc(0));
      if (!fresh.equals(kept)) {
        console.error(`console/dist/${file} is not what the sources give: run npm run build`);
        process.exitCode = 1;
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
} else {
  await buildInto(committed);
}

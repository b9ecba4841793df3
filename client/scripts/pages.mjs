// What whole pages load, and which of the client's parts that is: the entry, and what it loads later in the ordinary case.
// Weighed as bundlers put it: every file apart, minified, compressed with brotli by itself.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
/** What every page that is served over https loads; one without it, such as http://192.168.0.2, cannot share. */
const always = ["src/session/page.ts", "src/share/index.ts"];
const [webtransport, websocket] = ["src/transport/webtransport.ts", "src/transport/websocket.ts"];

/** Pages by their carrier, and which modules they load later. */
export const pages = [
  { name: "page: WebTransport", parts: [...always, webtransport], budget: 19_800 },
  {
    name: "page: WebSocket",
    when: "in a browser without WebTransport",
    parts: [...always, websocket],
    budget: 18_000,
  },
  {
    name: "page: both",
    when: "where a network lets no WebTransport through",
    parts: [...always, webtransport, websocket],
    budget: 20_300,
  },
];

/** The client in files as a bundler makes them: of each its size, what it imports, and the module that it was asked for as. */
export async function split() {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: ["src/index.ts"],
    bundle: true,
    splitting: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2022",
    outdir: "split",
    logLevel: "warning",
  });
  const contents = new Map(outputFiles.map(({ path, contents }) => [path, contents]));
  return Object.entries(metafile.outputs).map(([path, { imports, entryPoint }]) => {
    const code = contents.get(join(root, path));
    const needs = imports.filter(({ kind }) => kind === "import-statement");
    return {
      name: path.slice("split/".length),
      code,
      bytes: brotliCompressSync(code).length,
      module: entryPoint,
      needs: needs.map((one) => one.path.slice("split/".length)),
    };
  });
}

/** The files that a page loads which loads these modules later. */
export function loaded(files, parts) {
  const found = new Set();
  const load = (file) => {
    if (found.has(file)) return;
    found.add(file);
    for (const name of file.needs) load(files.find((one) => one.name === name));
  };
  for (const part of ["src/index.ts", ...parts]) {
    const file = files.find(({ module }) => module === part);
    if (file === undefined)
      throw new Error(`${part} is no part of the client that is loaded later`);
    load(file);
  }
  return [...found];
}

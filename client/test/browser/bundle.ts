// The client as an app's bundler splits it: what is loaded later is in files of its own.

import { build } from "esbuild";

/** The files by their names, to be served from one folder of this name. */
export async function bundle(folder: string): Promise<Map<string, string>> {
  const { outputFiles } = await build({
    entryPoints: ["src/index.ts"],
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    outdir: folder,
    write: false,
  });
  return new Map(outputFiles.map(({ path, text }) => [path.split(`/${folder}/`)[1] ?? "", text]));
}

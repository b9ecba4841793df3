// Packs the package and installs it into an empty project, once for all tests of this folder: packing makes `dist` anew.

import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    tarball: string;
    /** A folder in whose `node_modules` the package is. */
    project: string;
  }
}

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));

export default async function pack({ provide }: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "tokenway-package-"));
  await run("npm", ["pack", "--pack-destination", folder], { cwd: root });
  const [name = ""] = (await readdir(folder)).filter((file) => file.endsWith(".tgz"));
  const tarball = join(folder, name);
  const project = await mkdtemp(join(folder, "project-"));
  await writeFile(join(project, "package.json"), `{ "private": true, "type": "module" }`);
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", tarball], { cwd: project });
  provide("tarball", tarball);
  provide("project", project);
  return () => rm(folder, { recursive: true, force: true });
}

// Makes what `npm pack` takes along: the modules with their types, and the licences, which lie above. Runs before it by itself.

import { execFileSync } from "node:child_process";
import { copyFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

// A module that is no more would stay.
await rm(join(root, "dist"), { recursive: true, force: true });
const compiler = join(root, "node_modules/.bin/tsc");
execFileSync(compiler, ["-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"]) {
  await copyFile(join(root, "..", licence), join(root, licence));
}

// React 18 as npm installs it where an app has it: packages in a folder of their own, so that each finds this React and
// none of the newer one.

import { cp, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const MODULES = new URL("../../node_modules/", import.meta.url);
const PLACE = new URL(".react-18/node_modules/", MODULES);

/** What is there, and under which name it is installed here. */
const PACKAGES = {
  react: "react-18",
  "react-dom": "react-dom-18",
  "@testing-library/react": "@testing-library/react",
} as const;

/** For `resolve.alias`. */
export const react18: Record<string, string> = Object.fromEntries(
  Object.keys(PACKAGES).map((name) => [name, fileURLToPath(new URL(name, PLACE))]),
);

/** Puts it there, before the tests. */
export async function setup(): Promise<void> {
  await rm(PLACE, { recursive: true, force: true });
  for (const [name, source] of Object.entries(PACKAGES)) {
    await cp(new URL(source, MODULES), new URL(name, PLACE), { recursive: true });
  }
}

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { react18 } from "./test/support/react-18.js";

// The adapters import the core by the package's own name, as they do once it is installed.
const alias = { tokenway: fileURLToPath(new URL("./src/index.ts", import.meta.url)) };

export default defineConfig({
  test: {
    // One browser and one gateway at a time: the figures should mean something on a small machine, too.
    fileParallelism: !["browser", "trials", "apps"].some((name) => process.argv.includes(name)),
    projects: [
      {
        resolve: { alias },
        test: {
          name: "unit",
          include: ["src/**/*.test.{ts,tsx}", "test/*.test.ts"],
          environment: "node",
          // Many random runs on a machine that may be busy with something else.
          testTimeout: 60_000,
        },
      },
      {
        // The oldest React that we say we work with.
        resolve: { alias: { ...alias, ...react18 } },
        test: {
          name: "react-18",
          include: ["src/react/*.test.tsx"],
          environment: "jsdom",
          env: { REACT: "18" },
          globalSetup: "test/support/react-18.ts",
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "package",
          include: ["test/package/*.test.ts"],
          environment: "node",
          globalSetup: "test/package/pack.ts",
          testTimeout: 120_000,
          hookTimeout: 240_000,
        },
      },
      {
        test: {
          name: "browser",
          include: ["test/browser/*.test.ts"],
          environment: "node",
          testTimeout: 180_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "trials",
          include: ["test/trials/*.test.ts"],
          environment: "node",
          // At the full counts one trial takes an hour.
          testTimeout: process.env.TOKENWAY_SOAK ? 3 * 3_600_000 : 600_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "apps",
          include: ["test/apps/*.test.ts"],
          environment: "node",
          testTimeout: 180_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

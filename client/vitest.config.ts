import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // One browser and one gateway at a time: the figures should mean something on a small machine, too.
    fileParallelism: !process.argv.includes("browser"),
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "test/*.test.ts"],
          environment: "node",
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
    ],
  },
});

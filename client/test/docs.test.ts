// Every TypeScript snippet of the documentation is what the package's types say, and of most that is all that is known here:
// those in React, and those of an app on the AI SDK, are not run as they stand (test/apps has them in an app). The README's
// first, with both of its ways, and its endpoint for the AI SDK run in test/package. The other snippets: tests/sdk/python.

import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const CLIENT = fileURLToPath(new URL("..", import.meta.url));
const DOCS = join(CLIENT, "../docs");
const EXAMPLES = join(CLIENT, "../examples");

/** What a page may leave to its reader. */
const FREE = `
declare function render(state: unknown): void;
declare function write(text: string): void;
declare function rewrite(state: unknown): void;
declare const gateway: string;
`;

const CONFIG = {
  extends: "../tsconfig.json",
  compilerOptions: {
    jsx: "react-jsx",
    noUnusedLocals: false,
    noUnusedParameters: false,
    moduleDetection: "force",
    paths: {
      tokenway: ["../src/index.ts"],
      "tokenway/react": ["../src/react/index.ts"],
      "tokenway/ai-sdk": ["../src/ai-sdk/index.ts"],
    },
  },
  include: ["."],
};

it("every TypeScript snippet keeps to the package's types", async () => {
  const folder = await mkdtemp(join(CLIENT, "snippets-"));
  try {
    const pages = (await readdir(DOCS)).filter((name) => name.endsWith(".md"));
    const examples = (await readdir(EXAMPLES, { withFileTypes: true }))
      .filter((one) => one.isDirectory())
      .map(({ name }) => `../examples/${name}/README.md`);
    const texts = [
      ...["README.md", "../README.md"],
      ...[...pages.map((name) => `../docs/${name}`), ...examples],
    ];
    let found = 0;
    for (const page of texts) {
      const text = await readFile(join(CLIENT, page), "utf8");
      for (const { index, groups } of text.matchAll(
        /^```(?<language>tsx?)\n(?<code>.*?)^```$/gms,
      )) {
        const line = text.slice(0, index).split("\n").length;
        const name = `${page.replaceAll(/\W/g, "_")}_${line}.${groups?.language}`;
        await writeFile(join(folder, name), `${groups?.code}\nexport {};\n`);
        found++;
      }
    }
    expect(found).toBeGreaterThanOrEqual(6);
    await writeFile(
      join(folder, "free.ts"),
      `declare global {${FREE.replaceAll("declare ", "")}}\nexport {};\n`,
    );
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(CONFIG));
    const tsc = join(CLIENT, "node_modules/.bin/tsc");
    const told = await promisify(execFile)(tsc, ["-p", folder]).then(
      () => "",
      ({ stdout, stderr }) => `${stdout}${stderr}`,
    );
    expect(told).toBe("");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

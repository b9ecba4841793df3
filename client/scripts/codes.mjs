// Writes src/wire/codes.ts from ../proto/codes.json, the one table of codes. `npm run codes`; a test holds it current.

import { readFile, writeFile } from "node:fs/promises";

/** The table's lists as the client needs them. */
export function sourceOf(table) {
  const where = (test) => table.filter(test).map(({ code }) => code);
  const list = (codes) => JSON.stringify(codes.join(" "));
  const union = where(() => true)
    .map((code) => `  | "${code}"`)
    .join("\n");
  return `// Generated from proto/codes.json by \`npm run codes\`: the codes of errors, one table for gateway and client.

/** A code of the table. A newer gateway may have others. */
export type ErrorCode =
${union};

/** The same call can succeed later. */
export const RETRYABLE =
  ${list(where(({ retry }) => ["later", "snapshot", "after"].includes(retry)))};
/** A refused subscription is taken up again from a snapshot. */
export const RESTART = ${list(where(({ retry }) => retry === "snapshot"))};
/** Another token can help. */
export const RENEW = ${list(where(({ retry }) => retry === "token"))};
`;
}

/** The file that is written. */
export const target = new URL("../src/wire/codes.ts", import.meta.url);
const table = new URL("../../proto/codes.json", import.meta.url);

/** What the file should say. */
export async function current() {
  return sourceOf(JSON.parse(await readFile(table, "utf8")));
}

if (process.argv[1] && import.meta.url.endsWith(process.argv[1].split("/").at(-1))) {
  await writeFile(target, await current());
}

// The client's list of error codes is the one that proto/codes.json gives, which is the gateway's, too.

import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { AccessError, RequestError, refusalOf, restarts } from "../src/errors.js";

/** A script, so without types. */
const scripts = await import(new URL("../scripts/codes.mjs", import.meta.url).href);
const sourceOf: (table: readonly Row[]) => string = scripts.sourceOf;
const table: Row[] = JSON.parse(
  await readFile(new URL("../../proto/codes.json", import.meta.url), "utf8"),
);

interface Row {
  readonly code: string;
  readonly retry?: string;
}

it("the committed codes are what the table gives: npm run codes writes them anew", async () => {
  expect(await readFile(scripts.target, "utf8")).toBe(await scripts.current());
});

it("a row that is added, taken away or retried differently would be noticed", () => {
  const now = sourceOf(table);
  const [first, ...others] = table;
  expect(sourceOf([...table, { code: "brand_new" }])).not.toBe(now);
  expect(sourceOf(others)).not.toBe(now);
  expect(sourceOf([{ code: `${first?.code}`, retry: "later" }, ...others])).not.toBe(now);
});

it("every code means to the client what its row says of trying again", () => {
  for (const { code, retry } of table) {
    const error = refusalOf(code, "");
    expect(error.retryable, code).toBe(["later", "snapshot", "after"].includes(`${retry}`));
    expect(restarts(code), code).toBe(retry === "snapshot");
    expect(error.constructor, code).toBe(retry === "token" ? AccessError : RequestError);
  }
});

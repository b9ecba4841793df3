// Everything that the package exports says what it is: each exported symbol, and each public member of it, as an editor
// shows them.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript-api";
import { describe, expect, it } from "vitest";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const entries = ["src/index.ts", "src/react/index.ts", "src/ai-sdk/index.ts"];
/** What the test itself is held against. */
const silent = "test/support/silent.ts";

const program = ts.createProgram(
  [...entries, silent].map((file) => join(root, file)),
  {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    jsx: ts.JsxEmit.ReactJSX,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    paths: { tokenway: [join(root, "src/index.ts")] },
  },
);
const checker = program.getTypeChecker();

const isOurs = (node: ts.Node): boolean => {
  const { fileName } = node.getSourceFile();
  return fileName.startsWith(root) && !fileName.includes("node_modules");
};
const says = (symbol: ts.Symbol): boolean =>
  ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim().length > 8;

/** The public members that a declaration of ours has of its own. */
function membersOf(symbol: ts.Symbol): ts.Symbol[] {
  const members: ts.Symbol[] = [];
  for (const declaration of symbol.declarations ?? []) {
    if (!isOurs(declaration)) continue;
    if (!ts.isClassDeclaration(declaration) && !ts.isInterfaceDeclaration(declaration)) continue;
    for (const member of declaration.members) {
      const name = member.name;
      const hidden =
        !name ||
        ts.isPrivateIdentifier(name) ||
        ts.isComputedPropertyName(name) ||
        ts.getJSDocTags(member).some((tag) => tag.tagName.text === "internal");
      const one = name && checker.getSymbolAtLocation(name);
      if (!hidden && one) members.push(one);
    }
  }
  return members;
}

/** What a module exports without a word about it, and how much it exports. */
function look(file: string): { readonly exported: number; readonly silent: readonly string[] } {
  const source = program.getSourceFile(join(root, file));
  const module = source && checker.getSymbolAtLocation(source);
  const exported = module ? checker.getExportsOfModule(module) : [];
  const silent = exported.flatMap((one) => {
    const symbol = one.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(one) : one;
    const members = membersOf(symbol).filter((member) => !says(member));
    const own = says(symbol) ? [] : [one.name];
    return [...own, ...members.map((member) => `${one.name}.${member.name}`)];
  });
  return { exported: exported.length, silent };
}

describe("what is exported", () => {
  it.each(entries)("is documented, and so are its members: %s", (file) => {
    const { exported, silent } = look(file);
    expect(exported).toBeGreaterThan(3);
    expect(silent).toEqual([]);
  });

  it("would be missed if it were not", () => {
    expect(look(silent).silent).toEqual(["Quiet", "Quiet.member", "Told.member"]);
  });
});

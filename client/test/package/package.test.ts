// The package as somebody installs it: packed, looked through by publint and attw, installed into an empty project, and
// used there in the five lines of the README against the real gateway, over each carrier that Node has.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { Gateway } from "../browser/gateway.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const run = promisify(execFile);

const tarball = inject("tarball");
const project = inject("project");

describe("the tarball", () => {
  it("holds what it runs with, and nothing else", async () => {
    const { stdout } = await run("tar", ["-tzf", tarball]);
    const files = stdout.trim().split("\n");
    for (const file of ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "package.json"]) {
      expect(files).toContain(`package/${file}`);
    }
    expect(files).toContain("package/dist/transport/http/connection.js");
    const strange = files.filter(
      (file) => !/^package\/(package\.json|README\.md|LICENSE.*|dist\/.*\.(js|d\.ts))$/.test(file),
    );
    expect(strange).toEqual([]);
    expect(files.filter((file) => file.includes(".test."))).toEqual([]);
    const manifest = JSON.parse(
      await readFile(join(project, "node_modules/tokenway/package.json"), "utf8"),
    );
    expect(manifest.private).toBeUndefined();
    expect(manifest.dependencies ?? {}).toEqual({});
  });

  it("is clean to publint", async () => {
    const { stdout } = await run("npx", ["publint", "run", tarball, "--strict"], { cwd: root });
    expect(stdout).toContain("All good!");
  });

  it("is clean to attw", async () => {
    // Only ESM, as its engines say: a CommonJS app imports it.
    const { stdout } = await run("npx", ["attw", tarball, "--profile", "esm-only", "--no-color"], {
      cwd: root,
    });
    // Each of the three entry points, for Node and for bundlers.
    expect(stdout.match(/🟢/gu)).toHaveLength(6);
  });
});

describe("in an empty project", () => {
  let gateway: Gateway;

  beforeAll(async () => {
    gateway = await Gateway.start();
  });

  afterAll(() => gateway?.stop());

  /** Begins a generation on a channel and gives what it says in the end. */
  async function generate(channel: string): Promise<string> {
    const models = await (await fetch(`${gateway.url}/v1/models`)).json();
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "tokenway-channel": channel },
      body: JSON.stringify({
        model: models.data[0].id,
        messages: [{ role: "user", content: `Hello from ${channel}.` }],
      }),
    });
    expect(response.status).toBe(200);
    const { generations } = await gateway.channel(channel);
    return generations[0]?.text ?? "";
  }

  const FIVE_LINES = `import { connect } from "tokenway";
const client = connect({ url: process.argv[2] });
const channel = client.subscribe(process.argv[3]);
for await (const batch of channel) if (batch.kind === "events" && batch.events.some((one) => one.kind?.case === "finished")) break;
client.close();`;

  it.each([
    ["sse", "", []],
    ["longpoll", ", transports: [tokenway.longpoll]", []],
    ["websocket", "", ["--experimental-websocket"]],
  ])("five lines follow a channel over %s", async (carrier, option, flags) => {
    const channel = `packed-${carrier}`;
    const text = await generate(channel);
    const lines = FIVE_LINES.split("\n");
    lines[0] += `\nimport * as tokenway from "tokenway";`;
    lines[1] = lines[1]?.replace(" }", `${option} }`) ?? "";
    lines.splice(
      -1,
      0,
      `while (channel.getSnapshot().generations[0]?.state !== "finished" || !client.status.getSnapshot().transport) await new Promise((resolve) => setTimeout(resolve, 5));`,
      `console.log(JSON.stringify([client.status.getSnapshot().transport, channel.getSnapshot().generations[0].text.toString()]));`,
    );
    const script = join(project, `${carrier}.js`);
    await writeFile(script, lines.join("\n"));
    const { stdout } = await run(process.execPath, [...flags, script, gateway.url, channel], {
      cwd: project,
      timeout: 60_000,
    });
    expect(JSON.parse(stdout)).toEqual([carrier, text]);
    expect(text.length).toBeGreaterThan(20);
  });

  it("has types that hold without skipLibCheck, with the library of a usual app", async () => {
    const consumer = await mkdtemp(join(project, "types-"));
    const compilerOptions = {
      target: "ES2022",
      lib: ["ES2022", "DOM"],
      module: "ESNext",
      moduleResolution: "bundler",
      strict: true,
      skipLibCheck: false,
      noEmit: true,
      types: [],
    };
    await writeFile(join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions }));
    await writeFile(
      join(consumer, "app.ts"),
      `import { connect } from "tokenway";
const client = connect({ url: "http://localhost:8080", tokens: async () => "one" });
export const text: string | undefined = client.subscribe("a").getSnapshot().generations[0]?.text.toString();
`,
    );
    const tsc = join(root, "node_modules/.bin/tsc");
    const told = await run(tsc, ["-p", consumer]).then(
      () => "",
      ({ stdout }) => stdout,
    );
    expect(told).toBe("");
  });

  it("and the five lines themselves come to their end", async () => {
    await generate("packed-five");
    const script = join(project, "five.js");
    await writeFile(script, FIVE_LINES);
    await run(process.execPath, [script, gateway.url, "packed-five"], {
      cwd: project,
      timeout: 60_000,
    });
  });
});

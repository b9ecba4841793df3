// Every SDK before every provider: whoever speaks what, the app gets the answer and the provider the question.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { APPS, IMAGE, SCHEMA } from "./apps.mjs";
import { leftOut, startPlayedGateway, startPlayer } from "./support.mjs";

const PROVIDERS = ["openai", "responses", "anthropic", "gemini"];
const TEXT = 'Grüße aus 東京: “ß” 🎈 "quoted"';
const SIGNATURE = "c2lnbmVk+/+/YnkgdGhlIHByb3ZpZGVy";
const CALLS = [
  { id: "call_1", name: "get_weather", args: { city: "Köln" } },
  { id: "call_2", name: "get_weather", args: { city: "São Paulo" } },
];
const EITHER = [true, false];

const plain = (calls) => calls.map(({ name, args }) => ({ name, args }));
const opened = (text) => Buffer.from(text, "base64").toString("hex");

/** What was signed, where its provider looks for it; hexadecimal, since SDKs write base64 in either alphabet. */
const SIGNATURES = {
  openai: (body) => body.messages.flatMap((message) => message.reasoning_details ?? []).map((detail) => detail.signature),
  responses: (body) => body.input.filter((item) => item.type === "reasoning").map((item) => item.encrypted_content),
  anthropic: (body) => body.messages.flatMap((message) => message.content).map((block) => block.signature),
  gemini: (body) => body.contents.flatMap((content) => content.parts).map((part) => part.thoughtSignature),
};

/** The results of tools, where the provider looks for them. */
const RESULTS = {
  openai: (body) => body.messages.filter((message) => message.role === "tool").map((message) => message.content),
  responses: (body) => body.input.filter((item) => item.type === "function_call_output").map((item) => item.output),
  anthropic: (body) =>
    body.messages.flatMap((message) => message.content).filter((block) => block.type === "tool_result").map((block) => block.content),
  gemini: (body) =>
    body.contents.flatMap((content) => content.parts).filter((part) => part.functionResponse).map((part) => part.functionResponse.response),
};

/** The schema that the provider holds its answer to. */
const SCHEMAS = {
  openai: (body) => body.response_format.json_schema.schema,
  responses: (body) => body.text.format.schema,
  anthropic: (body) => body.output_config.format.schema,
  gemini: (body) => body.generationConfig.responseJsonSchema ?? body.generationConfig.responseSchema,
};

/** The error that a promise ends with; a promise that does well is a failure. */
async function errorOf(promise) {
  return promise.then(
    () => assert.fail("it looked like success"),
    (error) => error,
  );
}

suite("dialects", { skip: leftOut }, () => {
  let player, gateway;
  before(async () => {
    player = await startPlayer();
    gateway = await startPlayedGateway(player);
  });
  after(async () => {
    await gateway?.stop();
    await player?.stop();
  });

  /** The requests that a wish made of the provider. */
  async function requests(mark, count) {
    const found = (await player.seen()).filter((request) => request.wish?.mark === mark);
    assert.equal(found.length, count);
    return found;
  }

  for (const [name, [dialect, make]] of Object.entries(APPS)) {
    for (const provider of PROVIDERS) {
      const each = (what, run) =>
        test(`${name} × ${provider}: ${what}`, async () => {
          const app = make(gateway.origin);
          const mark = randomUUID();
          await run(app, mark, (wish) => app.user(JSON.stringify({ mark, ...wish })));
        });

      for (const stream of EITHER) {
        const how = stream ? "streamed" : "whole";

        each(`an answer is what the provider said, ${how}`, async (app, _, wish) => {
          const answer = await app.ask(provider, wish({ turns: [[{ text: TEXT }]] }), { stream });
          assert.equal(answer.text, TEXT);
          assert.equal(answer.finish, app.words.stop);
        });

        each(`tools are called and their results come back, ${how}`, async (app, mark, wish) => {
          const turns = [[{ text: "I shall look." }, ...CALLS.map((call) => ({ call }))], [{ text: "Rain." }]];
          const history = wish({ turns });
          const first = await app.ask(provider, history, { stream, tools: true });
          assert.deepEqual(plain(first.calls), plain(CALLS));
          assert.equal(first.finish, app.words.tool_calls);
          const results = app.results(first, ["rain-1", "sun-2"]);
          const second = await app.ask(provider, [...history, ...first.turn, ...results], { stream, tools: true });
          assert.equal(second.text, "Rain.");
          const [, { body }] = await requests(mark, 2);
          const found = RESULTS[provider](body).map((result) => JSON.stringify(result));
          assert.equal(found.length, 2);
          assert.ok(found[0].includes("rain-1") && found[1].includes("sun-2"), `${found}`);
        });

        // Vercel's chat package has no place for thoughts: it never shows them to the app.
        if (name !== "vercel openai chat") {
          each(`a thought goes back to whoever thought it, ${how}`, async (app, mark, wish) => {
            const turns = [[{ think: "Let me see.", sign: SIGNATURE }, { call: CALLS[0] }], [{ text: "Rain." }]];
            const history = wish({ turns });
            const first = await app.ask(provider, history, { stream, tools: true, think: true });
            assert.equal(first.thinking, "Let me see.");
            const next = [...history, ...first.turn, ...app.results(first, ["rain-1"])];
            const second = await app.ask(provider, next, { stream, tools: true, think: true });
            assert.equal(second.text, "Rain.");
            const [, { body }] = await requests(mark, 2);
            const found = SIGNATURES[provider](body).filter(Boolean);
            assert.deepEqual(found.map(opened), [opened(SIGNATURE)], `${found}`);
          });
        }

        each(`an answer takes the form that was asked for, ${how}`, async (app, mark, wish) => {
          const river = JSON.stringify({ name: "Rhein", length_km: 1233 });
          const answer = await app.ask(provider, wish({ turns: [[{ text: river }]] }), { stream, schema: true });
          assert.equal(answer.text, river);
          const [{ body }] = await requests(mark, 1);
          assert.deepEqual(SCHEMAS[provider](body).properties, SCHEMA.properties);
        });

        for (const status of [400, 401, 429, 529]) {
          each(`status ${status} is the app's own error, ${how}`, async (app, _, wish) => {
            const error = await errorOf(app.ask(provider, wish({ status }), { stream }));
            assert.ok(error instanceof app.errors[status], `${error}`);
            assert.equal(app.status(error), status);
          });
        }
      }

      each("the provider sees the image", async (app, mark) => {
        const wish = JSON.stringify({ mark, turns: [[{ text: "A dot." }]] });
        const answer = await app.ask(provider, app.user(wish, true), { stream: true });
        assert.equal(answer.text, "A dot.");
        const [{ body }] = await requests(mark, 1);
        assert.ok(JSON.stringify(body).includes(IMAGE), "the image is in the request");
      });

      each("an app that aborts ends the call at the provider", async (app, mark, wish) => {
        const abort = new AbortController();
        const asked = app.ask(provider, wish({ drip: 10 }), { stream: true, signal: abort.signal }).catch((error) => error);
        const until = Date.now() + 10_000;
        const request = async () => (await player.seen()).find((each) => each.wish?.mark === mark);
        while (!(await request())) {
          assert.ok(Date.now() < until, "the provider was never asked");
          await sleep(10);
        }
        await sleep(50);
        abort.abort();
        while ((await request()).ended !== "peer gone") {
          assert.ok(Date.now() < until, "the provider was still asked for tokens after 10 s");
          await sleep(20);
        }
        await asked;
      });

      each("an error in the middle is an error", async (app, _, wish) => {
        const fail = wish({ fail: [{ text: "So far" }], message: "the provider is tired" });
        const error = await errorOf(app.ask(provider, fail, { stream: true }));
        assert.match(typeof error === "string" ? error : JSON.stringify(error) + error.message, /the provider is tired/);
      });
    }
  }
});

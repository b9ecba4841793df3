// What an app does with the SDK on a good day, against the simulator.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { collect, leftOut, sdk, startGateway } from "./support.mjs";

const FAST = { tokens_per_second: 2000, first_token_ms: 0 };
const ASK = [{ role: "user", content: "Tell me of rivers." }];
const TOOLS = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather of a city",
      parameters: {
        type: "object",
        properties: { city: { type: "string" }, days: { type: "integer" } },
        required: ["city", "days"],
        additionalProperties: false,
      },
    },
  },
];
const DEMO_MODELS = ["chat", "reasoner", "tools", "polyglot", "novel", "fails-at-once", "fails-midway", "cut", "stall"];

const simulator = (more) => ({ simulator: { seed: 7, ...FAST, ...more } });
const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

suite("the simulator", { skip: leftOut }, () => {
  let gateway, completions, client;
  before(async () => {
    gateway = await startGateway("demo");
    client = sdk(gateway.url);
    completions = client.chat.completions;
  });
  after(() => gateway?.stop());

  test("a stream says the same as a whole answer", async () => {
    const body = { model: "chat", messages: ASK, ...simulator({ tokens: 60 }) };
    const whole = await completions.create(body);
    const chunks = await collect(await completions.create({ ...body, stream: true }));
    assert.ok(textOf(chunks).length > 60);
    assert.equal(textOf(chunks), whole.choices[0].message.content);
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
    assert.equal(chunks.filter((chunk) => chunk.choices[0].delta.content).length, 60);
  });

  test("text arrives character for character", async () => {
    const text = 'Grüße, 世界! 👩‍👩‍👧‍👦 e\u0301\n\ndata: [DONE]\n\n\u2028 \\u0000 "quoted" العربية';
    const body = { model: "chat", messages: ASK, ...simulator({ text }) };
    assert.equal(textOf(await collect(await completions.create({ ...body, stream: true }))), text);
    assert.equal((await completions.create(body)).choices[0].message.content, text);
  });

  test("usage comes only to those who ask", async () => {
    const stream = async (more) =>
      collect(await completions.create({ model: "chat", messages: ASK, stream: true, ...simulator({ tokens: 20 }), ...more }));
    for (const unasked of [await stream({}), await stream({ stream_options: { include_usage: false } })]) {
      assert.ok(unasked.every((chunk) => !chunk.usage && chunk.choices.length === 1));
    }
    const asked = await stream({ stream_options: { include_usage: true } });
    assert.deepEqual(asked.at(-1).choices, []);
    assert.equal(asked.at(-1).usage.completion_tokens, 20);
    assert.ok(asked.slice(0, -1).every((chunk) => !chunk.usage));
  });

  test("two choices come side by side", async () => {
    const body = { model: "chat", messages: ASK, n: 2, ...simulator({ tokens: 30 }) };
    const texts = ["", ""];
    for await (const chunk of await completions.create({ ...body, stream: true })) {
      for (const choice of chunk.choices) texts[choice.index] += choice.delta.content ?? "";
    }
    const whole = await completions.create(body);
    assert.deepEqual(
      whole.choices.map((choice) => choice.message.content),
      texts,
    );
    assert.notEqual(texts[0], texts[1]);
  });

  test("tools are called and their results used", async () => {
    const body = { model: "tools", messages: ASK, tools: TOOLS, ...simulator({ tool_calls: 2 }) };
    const { message, finish_reason } = (await completions.create(body)).choices[0];
    assert.equal(finish_reason, "tool_calls");
    assert.equal(message.tool_calls.length, 2);
    const streamed = await completions.stream(body).finalChatCompletion();
    assert.deepEqual(
      streamed.choices[0].message.tool_calls.map(({ id, function: { name, arguments: text } }) => [id, name, text]),
      message.tool_calls.map(({ id, function: { name, arguments: text } }) => [id, name, text]),
    );
    const results = message.tool_calls.map((call, number) => ({
      role: "tool",
      tool_call_id: call.id,
      content: JSON.stringify({ sky: `clear-${number}` }),
    }));
    const second = { model: "tools", messages: [...ASK, message, ...results], tools: TOOLS, ...simulator() };
    const answer = (await completions.create(second)).choices[0];
    assert.equal(answer.finish_reason, "stop");
    assert.match(answer.message.content, /clear-0[^]*clear-1/);
    const chunks = await collect(await completions.create({ ...second, stream: true }));
    assert.equal(textOf(chunks), answer.message.content);
  });

  test("structured output is parsed", async () => {
    const River = z.object({ name: z.string(), length_km: z.number().int(), countries: z.array(z.string()) });
    const body = { model: "chat", messages: ASK, response_format: zodResponseFormat(River, "river"), simulator: FAST };
    const { parsed } = (await completions.parse(body)).choices[0].message;
    assert.deepEqual(River.parse(parsed), parsed);
    const streamed = await completions.stream(body).finalChatCompletion();
    assert.deepEqual(streamed.choices[0].message.parsed, parsed);
  });

  test("models are listed", async () => {
    const ids = (await collect(client.models.list())).map((model) => model.id);
    assert.deepEqual(
      DEMO_MODELS.filter((name) => !ids.includes(name)),
      [],
    );
  });

  test("an answer names its channel", async () => {
    const body = { model: "chat", messages: ASK, ...simulator({ tokens: 3 }) };
    const { response } = await completions
      .create(body, { headers: { "tokenway-channel": "sdk:node" } })
      .withResponse();
    assert.equal(response.headers.get("tokenway-channel"), "sdk:node");
    assert.equal(response.headers.get("tokenway-epoch").length, 8);
  });

  test("an abandoned stream leaves the client usable", async () => {
    const slow = { simulator: { tokens: 100_000, tokens_per_second: 200 } };
    const stream = await completions.create({ model: "chat", messages: ASK, stream: true, ...slow });
    let heard = 0;
    for await (const _ of stream) if (++heard === 5) break;
    assert.equal(stream.controller.signal.aborted, true);
    const again = await completions.create({ model: "chat", messages: ASK, ...simulator({ tokens: 3 }) });
    assert.equal(again.choices[0].finish_reason, "stop");
  });
});

// What goes wrong raises the SDK's own errors, and nothing that went wrong looks like success.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { collect, leftOut, sdk, startGateway, startPlayedGateway, startPlayer, wish } from "./support.mjs";

const ASK = [{ role: "user", content: "Fail." }];
const FAST = { tokens_per_second: 2000, first_token_ms: 0 };
const STATUSES = [
  [400, OpenAI.BadRequestError],
  [401, OpenAI.AuthenticationError],
  [403, OpenAI.PermissionDeniedError],
  [404, OpenAI.NotFoundError],
  [429, OpenAI.RateLimitError],
  [500, OpenAI.InternalServerError],
];

/** The error that a promise ends with; a promise that does well is a failure. */
async function errorOf(promise) {
  return promise.then(
    () => assert.fail("it looked like success"),
    (error) => error,
  );
}

/** The gateway's own error, or a body that breaks off: what the SDK gives for either. */
function isNoSuccess(error) {
  return error instanceof OpenAI.APIError || (error instanceof TypeError && error.message === "terminated");
}

suite("errors", { skip: leftOut }, () => {
  let player, demo, played, completions, through;
  before(async () => {
    player = await startPlayer();
    demo = await startGateway("demo");
    played = await startPlayedGateway(player);
    completions = sdk(demo.url).chat.completions;
    through = sdk(played.url).chat.completions;
  });
  after(async () => {
    for (const each of [played, demo, player]) await each?.stop();
  });

  for (const [status, type] of STATUSES) {
    for (const stream of [false, true]) {
      test(`status ${status} becomes ${type.name}, stream ${stream}`, async () => {
        const error = await errorOf(
          completions.create({ model: "fails-at-once", messages: ASK, stream, simulator: { status } }),
        );
        assert.ok(error instanceof type, `${error}`);
        assert.equal(error.status, status);
        assert.ok(error.error.message);
      });
    }
  }

  test("a rate limit says when to come back", async () => {
    const simulator = { status: 429, retry_after: 17 };
    const error = await errorOf(completions.create({ model: "fails-at-once", messages: ASK, simulator }));
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.equal(error.headers.get("retry-after"), "17");
    const passed = await errorOf(through.create({ model: "played", messages: wish({ status: 429, retry_after: 23 }) }));
    assert.equal(passed.headers.get("retry-after"), "23");
  });

  test("an unknown model is not found", async () => {
    const error = await errorOf(completions.create({ model: "no-such-model", messages: ASK }));
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.match(error.message, /no-such-model/);
  });

  test("an error in the middle is raised after what was said", async () => {
    const simulator = { ...FAST, at: 9 };
    let said = 0;
    const error = await errorOf(
      (async () => {
        for await (const chunk of await completions.create({ model: "fails-midway", messages: ASK, stream: true, simulator })) {
          said += chunk.choices[0].delta.content ? 1 : 0;
        }
      })(),
    );
    assert.equal(said, 9);
    assert.ok(error instanceof OpenAI.APIError, `${error}`);
  });

  test("a cut stream is never a success", async () => {
    const simulator = { ...FAST, at: 9 };
    const stream = await completions.create({ model: "cut", messages: ASK, stream: true, simulator });
    const error = await errorOf(collect(stream));
    assert.ok(isNoSuccess(error), `${error}`);
  });

  for (const cleanly of [false, true]) {
    for (const stop of [0.1, 0.5, 0.8]) {
      test(`a provider that breaks off at ${stop} is never a success, cleanly ${cleanly}`, async () => {
        const messages = wish({ play: "streams/two-choices-two-tools", stop, cleanly });
        const error = await errorOf(
          (async () => collect(await through.create({ model: "played", messages, stream: true })))(),
        );
        assert.ok(isNoSuccess(error), `${error}`);
      });
    }
  }

  test("a client that goes ends the call at the provider", async () => {
    const messages = wish({ drip: 20, mark: "node gone" });
    let heard = 0;
    for await (const _ of await through.create({ model: "played", messages, stream: true })) if (++heard === 3) break;
    const until = Date.now() + 10_000;
    const isThis = (request) => request.body?.messages?.[0].content === messages[0].content;
    while ((await player.seen()).find(isThis).ended !== "peer gone") {
      assert.ok(Date.now() < until, "the provider was still asked for tokens after 10 s");
      await sleep(20);
    }
  });
});

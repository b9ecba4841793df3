// Recorded streams, their bytes cut at random: through the gateway the SDK gives exactly what it gives without it.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import OpenAI from "openai";
import { collect, leftOut, random, SEED, sdk, startPlayedGateway, startPlayer, wish } from "./support.mjs";

const CUTS = 2;
const ASKED = { stream_options: { include_usage: true } };

/** All that an app can see of one stream: every chunk with all its members, and how it ended. */
async function outcome(client, model, what, more = {}) {
  const chunks = [];
  try {
    for await (const chunk of await client.chat.completions.create({ model, messages: wish(what), stream: true, ...more })) {
      chunks.push(chunk);
    }
    return { chunks, error: null };
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    return { chunks, error: { type: error.constructor.name, status: error.status, body: error.error } };
  }
}

suite(`recorded streams, TOKENWAY_SEED=${SEED}`, { skip: leftOut }, () => {
  let player, gateway, direct, through;
  before(async () => {
    player = await startPlayer();
    gateway = await startPlayedGateway(player);
    direct = sdk(player.url);
    through = sdk(gateway.url);
  });
  after(async () => {
    await gateway?.stop();
    await player?.stop();
  });

  test("a recording is the same through the gateway", async (t) => {
    const next = random(SEED);
    assert.ok(player.recordings.length >= 5);
    for (const play of player.recordings) {
      await t.test(play, async () => {
        const wanted = await outcome(direct, "played-model", { play, seed: 0 }, ASKED);
        assert.ok(wanted.chunks.length > 0 || wanted.error);
        for (let cut = 0; cut < CUTS; cut++) {
          const seed = Math.floor(next() * 2 ** 32);
          const got = await outcome(through, "played", { play, seed }, ASKED);
          assert.deepEqual(got, wanted, `cut seed ${seed}`);
        }
      });
    }
  });

  test("a whole answer passes untouched", async () => {
    const ask = (client, model) =>
      client.chat.completions.create({ model, messages: wish({ play: "whole" }) }).asResponse().then((it) => it.text());
    assert.equal(await ask(through, "played"), await ask(direct, "played-model"));
  });

  test("embeddings are passed through", async () => {
    const ask = (client) => client.embeddings.create({ model: "embedder", input: "a river", encoding_format: "float" });
    assert.deepEqual(await ask(through), await ask(direct));
  });
});

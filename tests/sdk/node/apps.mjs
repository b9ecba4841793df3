// Apps: every official SDK for Node, and Vercel's, with one way to ask. Only the base URL is ours; histories are the
// SDK's own objects, kept and given back as its documentation says.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { ApiError, GoogleGenAI } from "@google/genai";
import { APICallError, generateText, jsonSchema, Output, streamText, tool } from "ai";
import OpenAI from "openai";

const KEY = "sk-of-the-app";
export const IMAGE =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
export const SCHEMA = {
  type: "object",
  properties: { name: { type: "string" }, length_km: { type: "integer" } },
  required: ["name", "length_km"],
  additionalProperties: false,
};
const TOOL = {
  name: "get_weather",
  description: "The weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

const pick = (items, type) => items.filter((item) => item.type === type);

export class OpenAiChat {
  words = { stop: "stop", tool_calls: "tool_calls" };
  constructor(origin) {
    this.client = new OpenAI({ baseURL: `${origin}/v1`, apiKey: KEY, maxRetries: 0, timeout: 60_000 });
  }
  user(text, image) {
    if (!image) return [{ role: "user", content: text }];
    const url = `data:image/png;base64,${IMAGE}`;
    return [{ role: "user", content: [{ type: "image_url", image_url: { url } }, { type: "text", text }] }];
  }
  results(answer, outputs) {
    return answer.calls.map((call, at) => ({ role: "tool", tool_call_id: call.id, content: outputs[at] }));
  }
  async ask(model, messages, { stream, tools, think, schema, signal }) {
    const options = { model, messages };
    if (tools) options.tools = [{ type: "function", function: TOOL }];
    if (think) options.reasoning_effort = "low";
    if (schema) {
      const json_schema = { name: "river", schema: SCHEMA, strict: true };
      options.response_format = { type: "json_schema", json_schema };
    }
    let message, finish;
    if (stream) {
      [message, finish] = await this.#folded(await this.client.chat.completions.create({ ...options, stream: true }, { signal }));
    } else {
      const whole = await this.client.chat.completions.create(options, { signal });
      message = whole.choices[0].message;
      finish = whole.choices[0].finish_reason;
    }
    const calls = (message.tool_calls ?? []).map((call) => ({
      id: call.id,
      name: call.function.name,
      args: JSON.parse(call.function.arguments || "{}"),
    }));
    const thinking = message.reasoning_content ?? message.reasoning ?? "";
    return { text: message.content ?? "", finish, calls, thinking, turn: [message] };
  }
  // A streamed message as apps put it together, nonstandard members included.
  async #folded(chunks) {
    const message = { role: "assistant", content: "" };
    let finish = null;
    for await (const { choices } of chunks) {
      if (!choices.length) continue;
      const [{ delta, finish_reason }] = choices;
      finish = finish_reason ?? finish;
      for (const key of ["content", "reasoning_content", "reasoning"]) {
        if (delta[key]) message[key] = (message[key] ?? "") + delta[key];
      }
      if (delta.reasoning_details) (message.reasoning_details ??= []).push(...delta.reasoning_details);
      for (const { index, ...call } of delta.tool_calls ?? []) {
        const calls = (message.tool_calls ??= []);
        if (calls[index]) calls[index].function.arguments += call.function.arguments ?? "";
        else calls[index] = structuredClone(call);
      }
    }
    return [message, finish];
  }
  errors = {
    400: OpenAI.BadRequestError,
    401: OpenAI.AuthenticationError,
    429: OpenAI.RateLimitError,
    529: OpenAI.InternalServerError,
  };
  anyError = OpenAI.APIError;
  status = (error) => error.status;
}

export class OpenAiResponses extends OpenAiChat {
  words = { stop: "completed", tool_calls: "completed" };
  user(text, image) {
    if (!image) return [{ role: "user", content: text }];
    const image_url = `data:image/png;base64,${IMAGE}`;
    return [{ role: "user", content: [{ type: "input_image", image_url, detail: "auto" }, { type: "input_text", text }] }];
  }
  results(answer, outputs) {
    return answer.calls.map((call, at) => ({ type: "function_call_output", call_id: call.id, output: outputs[at] }));
  }
  async ask(model, input, { stream, tools, think, schema, signal }) {
    const options = { model, input, store: false };
    if (tools) options.tools = [{ type: "function", strict: false, ...TOOL }];
    if (think) Object.assign(options, { reasoning: { effort: "low", summary: "auto" }, include: ["reasoning.encrypted_content"] });
    if (schema) options.text = { format: { type: "json_schema", name: "river", schema: SCHEMA, strict: true } };
    let response;
    if (stream) {
      const events = this.client.responses.stream(options, { signal });
      response = await events.finalResponse();
      // An answer like any other to the SDK: it is the app that looks.
      if (response.status === "failed") throw new OpenAI.APIError(undefined, response.error, response.error.message, undefined);
    } else {
      response = await this.client.responses.create(options, { signal });
    }
    const calls = pick(response.output, "function_call").map((item) => ({
      id: item.call_id,
      name: item.name,
      args: JSON.parse(item.arguments || "{}"),
    }));
    const thoughts = pick(response.output, "reasoning").flatMap((item) => [...item.summary, ...(item.content ?? [])]);
    const thinking = thoughts.map((part) => part.text).join("");
    const text = pick(response.output, "message").flatMap((item) => item.content).map((part) => part.text).join("");
    // The stream helper parses what it was told to parse; apps send back what the API knows.
    const turn = response.output.map(({ parsed_arguments, ...item }) =>
      item.type === "message" ? { ...item, content: item.content.map(({ parsed, ...part }) => part) } : item,
    );
    return { text, finish: response.status, calls, thinking, turn };
  }
}

export class AnthropicMessages {
  words = { stop: "end_turn", tool_calls: "tool_use" };
  constructor(origin) {
    this.client = new Anthropic({ baseURL: origin, apiKey: KEY, maxRetries: 0, timeout: 60_000 });
  }
  user(text, image) {
    if (!image) return [{ role: "user", content: text }];
    const source = { type: "base64", media_type: "image/png", data: IMAGE };
    return [{ role: "user", content: [{ type: "image", source }, { type: "text", text }] }];
  }
  results(answer, outputs) {
    const result = (call, at) => ({ type: "tool_result", tool_use_id: call.id, content: outputs[at] });
    return [{ role: "user", content: answer.calls.map(result) }];
  }
  async ask(model, messages, { stream, tools, think, schema, signal }) {
    const options = { model, messages, max_tokens: 4096 };
    const { parameters: input_schema, ...named } = TOOL;
    if (tools) options.tools = [{ ...named, input_schema }];
    if (think) options.thinking = { type: "enabled", budget_tokens: 1024 };
    if (schema) options.output_config = { format: { type: "json_schema", schema: SCHEMA } };
    const message = stream
      ? await this.client.messages.stream(options, { signal }).finalMessage()
      : await this.client.messages.create(options, { signal });
    const text = pick(message.content, "text").map((block) => block.text).join("");
    const thinking = pick(message.content, "thinking").map((block) => block.thinking).join("");
    const calls = pick(message.content, "tool_use").map(({ id, name, input }) => ({ id, name, args: input }));
    // `parsed_output` is the SDK's own.
    const content = message.content.map(({ parsed_output, ...block }) => block);
    return { text, finish: message.stop_reason, calls, thinking, turn: [{ role: "assistant", content }] };
  }
  errors = {
    400: Anthropic.BadRequestError,
    401: Anthropic.AuthenticationError,
    429: Anthropic.RateLimitError,
    529: Anthropic.InternalServerError,
  };
  anyError = Anthropic.APIError;
  status = (error) => error.status;
}

export class Gemini {
  words = { stop: "STOP", tool_calls: "STOP" };
  constructor(origin) {
    this.client = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: origin, timeout: 60_000 } });
  }
  user(text, image) {
    const seen = image ? [{ inlineData: { mimeType: "image/png", data: IMAGE } }] : [];
    return [{ role: "user", parts: [...seen, { text }] }];
  }
  results(answer, outputs) {
    const result = ({ id, name }, at) => ({ functionResponse: { id, name, response: { result: outputs[at] } } });
    return [{ role: "user", parts: answer.calls.map(result) }];
  }
  async ask(model, contents, { stream, tools, think, schema, signal }) {
    const config = { abortSignal: signal };
    const { parameters: parametersJsonSchema, ...named } = TOOL;
    if (tools) config.tools = [{ functionDeclarations: [{ ...named, parametersJsonSchema }] }];
    if (think) config.thinkingConfig = { includeThoughts: true, thinkingBudget: 1024 };
    if (schema) Object.assign(config, { responseMimeType: "application/json", responseJsonSchema: SCHEMA });
    const parts = [];
    let finish = null;
    const add = (chunk) => {
      parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []));
      finish = chunk.candidates?.[0]?.finishReason ?? finish;
    };
    if (stream) {
      for await (const chunk of await this.client.models.generateContentStream({ model, contents, config })) add(chunk);
    } else {
      add(await this.client.models.generateContent({ model, contents, config }));
    }
    const said = (thought) => parts.filter((part) => Boolean(part.thought) === thought).map((part) => part.text ?? "").join("");
    const calls = parts.filter((part) => part.functionCall).map(({ functionCall: call }) => ({ id: call.id, name: call.name, args: call.args ?? {} }));
    return { text: said(false), finish, calls, thinking: said(true), turn: [{ role: "model", parts }] };
  }
  errors = { 400: ApiError, 401: ApiError, 429: ApiError, 529: ApiError };
  anyError = Error;
  status = (error) => error.status;
}

/** Vercel's AI SDK: its own words over a provider package. */
class Vercel {
  words = { stop: "stop", tool_calls: "tool-calls" };
  constructor(model, always, thinking) {
    this.model = model;
    this.always = always;
    this.thinking = thinking;
  }
  user(text, image) {
    if (!image) return [{ role: "user", content: text }];
    const seen = { type: "file", data: Buffer.from(IMAGE, "base64"), mediaType: "image/png" };
    return [{ role: "user", content: [seen, { type: "text", text }] }];
  }
  results(answer, outputs) {
    const result = ({ id, name }, at) => ({
      type: "tool-result",
      toolCallId: id,
      toolName: name,
      output: { type: "text", value: outputs[at] },
    });
    return [{ role: "tool", content: answer.calls.map(result) }];
  }
  async ask(model, messages, { stream, tools, think, schema, signal }) {
    const options = { model: this.model(model), messages, maxRetries: 0, abortSignal: signal };
    const [[provider, settings]] = Object.entries(this.always);
    options.providerOptions = { [provider]: { ...settings, ...(think ? this.thinking : {}) } };
    const { parameters, description } = TOOL;
    if (tools) options.tools = { get_weather: tool({ description, inputSchema: jsonSchema(parameters) }) };
    if (schema) options.output = Output.object({ schema: jsonSchema(SCHEMA), name: "river" });
    let result;
    if (stream) {
      result = streamText({ ...options, onError: () => {} });
      for await (const part of result.fullStream) if (part.type === "error") throw part.error;
    } else {
      result = await generateText(options);
    }
    const calls = (await result.toolCalls).map((call) => ({ id: call.toolCallId, name: call.toolName, args: call.input }));
    return {
      text: await result.text,
      finish: await result.finishReason,
      calls,
      thinking: (await result.reasoningText) ?? "",
      turn: (await result.response).messages,
    };
  }
  errors = { 400: APICallError, 401: APICallError, 429: APICallError, 529: APICallError };
  anyError = Object;
  status = (error) => error.statusCode;
}

/** Every app, by its name, and the dialect that it speaks. */
export const APPS = {
  "openai chat": ["openai", (origin) => new OpenAiChat(origin)],
  "openai responses": ["responses", (origin) => new OpenAiResponses(origin)],
  anthropic: ["anthropic", (origin) => new AnthropicMessages(origin)],
  "google genai": ["gemini", (origin) => new Gemini(origin)],
  "vercel openai chat": [
    "openai",
    (origin) => new Vercel(createOpenAI({ baseURL: `${origin}/v1`, apiKey: KEY }).chat, { openai: {} }, { reasoningEffort: "low" }),
  ],
  "vercel openai responses": [
    "responses",
    (origin) =>
      new Vercel(
        createOpenAI({ baseURL: `${origin}/v1`, apiKey: KEY }).responses,
        // Else the next turn names items that only OpenAI keeps.
        { openai: { store: false } },
        { reasoningEffort: "low", reasoningSummary: "auto", include: ["reasoning.encrypted_content"], forceReasoning: true },
      ),
  ],
  "vercel anthropic": [
    "anthropic",
    (origin) =>
      new Vercel(
        createAnthropic({ baseURL: `${origin}/v1`, apiKey: KEY }),
        // For models that it does not know it makes a tool of the schema.
        { anthropic: { structuredOutputMode: "outputFormat" } },
        { thinking: { type: "enabled", budgetTokens: 1024 } },
      ),
  ],
  "vercel google": [
    "gemini",
    (origin) =>
      new Vercel(
        createGoogleGenerativeAI({ baseURL: `${origin}/v1beta`, apiKey: KEY }),
        { google: {} },
        { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } },
      ),
  ],
};

// Tokenway for the AI SDK: resume that works with stop. The public names and nothing else.

export {
  type Place,
  type Sending,
  TokenwayChatTransport,
  type TokenwayTransportOptions,
} from "./transport.js";

// Tokenway for React. The public names and nothing else.

export {
  type UseChannel,
  type UseChannelOptions,
  type UseGeneration,
  type UseGenerationOptions,
  useChannel,
  useGeneration,
} from "./hooks.js";
export {
  TokenwayProvider,
  type TokenwayProviderProps,
  useConnection,
  useTokenway,
} from "./provider.js";
export { SMOOTH_LAG_MS, useSmoothText } from "./smooth.js";

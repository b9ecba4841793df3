// Tokenway for React. The public names and nothing else.

export {
  TokenwayProvider,
  type TokenwayProviderProps,
  type UseChannel,
  type UseChannelOptions,
  type UseGeneration,
  type UseGenerationOptions,
  useChannel,
  useConnection,
  useGeneration,
  useTokenway,
} from "./hooks.js";
export { SMOOTH_LAG_MS, useSmoothText } from "./smooth.js";

import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const client = (file: string) => fileURLToPath(new URL(`../../client/src/${file}`, import.meta.url));

export default defineConfig({
  plugins: [react()],
  resolve: {
    // In an app of your own: `npm install tokenway`, and nothing here. This one takes the package from next door.
    alias: [
      { find: "tokenway/react", replacement: client("react/index.ts") },
      { find: "tokenway", replacement: client("index.ts") },
    ],
    dedupe: ["react", "react-dom"],
  },
  build: { target: "es2022" },
});

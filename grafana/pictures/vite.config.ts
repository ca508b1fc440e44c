import { defineConfig } from "vite";

// What Vite warns of lies in the libraries.
export default defineConfig({ logLevel: "error", build: { chunkSizeWarningLimit: 20_000 } });

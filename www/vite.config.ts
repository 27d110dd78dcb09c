import { defineConfig } from "vite";

/** Each page of the site, by the name its bundle gets. */
const PAGES = { index: "index.html" };

export default defineConfig({
  // Relative, so that the built folder works below any path.
  base: "./",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    // Nothing of ours preloads modules for browsers that lack it.
    modulePreload: { polyfill: false },
    rolldownOptions: { input: PAGES },
  },
  worker: { format: "es" },
});

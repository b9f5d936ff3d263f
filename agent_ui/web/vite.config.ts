import { defineConfig } from "vite";

// The server's policy allows neither inline scripts nor inline styles nor data: addresses, so nothing
// is inlined. Source maps stay out: the source itself is public.
export default defineConfig({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: ["chrome123", "edge123", "firefox121", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: false,
  },
});

import { defineConfig } from 'vite';

export default defineConfig({
  // Vite copies packages for its dev server without their Web Workers; this one keeps its files.
  optimizeDeps: { exclude: ['gradcast'] },
});

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/global_setup.ts'],
    // For what hangs alone: a machine that compiles and runs four other stages beside takes ten times as long
    // as a quiet one.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // With --coverage: what the TypeScript backend has, tests reach.
    coverage: {
      provider: 'v8',
      include: ['lib/js/**/*.ts'],
      reportsDirectory: 'build/coverage',
      reporter: ['text'],
      thresholds: { lines: 100, branches: 100, functions: 100 },
    },
  },
})

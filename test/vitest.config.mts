import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/global_setup.ts'],
    // Only for tests that hang: a machine that compiles and runs four other stages at the same time takes ten
    // times as long as a quiet one.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    // With --coverage: the tests must reach every line and branch of the TypeScript backend.
    coverage: {
      provider: 'v8',
      include: ['lib/js/**/*.ts'],
      reportsDirectory: 'build/coverage',
      reporter: ['text'],
      thresholds: { lines: 100, branches: 100, functions: 100 },
    },
  },
})

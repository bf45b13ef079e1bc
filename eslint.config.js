import js from '@eslint/js';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import { importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

const platformFree = [
  'Buffer',
  'process',
  'global',
  'window',
  'document',
  'navigator',
  'self',
  'WebSocket',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'performance',
  'fetch',
];

export default tseslint.config(
  { ignores: ['bin/cli.cjs', 'dist/**', 'node_modules/**', 'runs/**', 'coverage/**'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        project: './tsconfig.json',
        tsconfigRootDir: import.meta.dirname,
      },
    },
    plugins: { 'import-x': importX },
    settings: { 'import-x/resolver-next': [createTypeScriptImportResolver({ project: './tsconfig.json' })] },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/consistent-type-definitions': ['error', 'interface'],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'import-x/no-restricted-paths': [
        'error',
        {
          zones: [
            {
              target: ['./shared', './coordinator', './worker-node', './worker-browser'],
              from: './cli',
              message: 'The command line imports the packages, never the other way round.',
            },
            {
              target: './shared',
              from: ['./coordinator', './worker-node', './worker-browser'],
              message: 'shared knows nobody.',
            },
            {
              target: './coordinator',
              from: ['./worker-node', './worker-browser'],
              message: 'The coordinator and the workers meet only on the wire.',
            },
            {
              target: './worker-node',
              from: ['./coordinator', './worker-browser'],
              message: 'The coordinator and the workers meet only on the wire.',
            },
            {
              target: './worker-browser',
              from: ['./coordinator', './worker-node'],
              message: 'The coordinator and the workers meet only on the wire.',
            },
          ],
        },
      ],
      // Typed arrays index to number | undefined here; the assertion is written out, never a bare `!`.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // tfjs' variables are tensors by type and instances of a class that it does not export as a value.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      'no-console': 'error',
    },
  },
  {
    files: ['worker-browser/**/*.ts'],
    languageOptions: { parserOptions: { project: './worker-browser/tsconfig.json' } },
  },
  {
    files: ['shared/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['node:*'], message: 'shared runs in a browser too.' },
            { group: ['@tensorflow/*'], allowTypeImports: true, message: 'tf is handed in.' },
          ],
        },
      ],
      'no-restricted-globals': ['error', ...platformFree],
    },
  },
  {
    files: ['**/*.js'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        setTimeout: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
      },
    },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off', 'no-console': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    ignores: ['test/support/property.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        ...['assert', 'check', 'sample'].map((property) => ({
          object: 'fc',
          property,
          message: 'checkProperty of test/support/property.ts fixes the seed.',
        })),
        {
          object: 'Math',
          property: 'random',
          message: 'testSeed and fixedRandom of test/support/property.ts fix the seed.',
        },
      ],
    },
  },
);

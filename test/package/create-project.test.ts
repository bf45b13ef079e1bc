import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compilerFile } from '../../scripts/build-types.js';
import { TEMPLATES } from '../../coordinator/commands/example-data.ts';
import { packAndInstall, runProgram, type PackedPackage } from './packed.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const versionOf = (file: string): string =>
  (JSON.parse(readFileSync(join(root, file), 'utf8')) as { version: string }).version;

describe('npm create gradcast', () => {
  let packed: PackedPackage;
  let create: (...args: string[]) => string;
  beforeAll(async () => {
    packed = await packAndInstall();
    const installed = join(packed.folder, 'node_modules/create-gradcast');
    cpSync(join(root, 'create-gradcast'), installed, { recursive: true });
    create = (...args) => runProgram([process.execPath, join(installed, 'index.js'), ...args], packed.folder);
  }, 180_000);
  afterAll(() => packed.remove());

  test.each(TEMPLATES)('makes a project of the template %s, whose task has types', (template) => {
    const name = `My ${template}`;
    const output = create(name, '--template', template);
    expect(output).toContain(`npx gradcast train 'My ${template}/task.ts'`);
    const project = join(packed.folder, name);
    expect(readdirSync(project).sort()).toEqual([
      ...['.gitignore', 'README.md', 'data', 'package.json', 'task.ts', 'tsconfig.json'],
    ]);
    expect(JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'))).toMatchObject({
      name: `my-${template}`,
      dependencies: { gradcast: `^${versionOf('package.json')}` },
    });
    runProgram([process.execPath, compilerFile(), '-p', '.', '--types', 'node'], project);
  });

  test('the task of a table is trained by the command that is printed', () => {
    const output = create('table', '--template', 'table');
    const [, command = ''] = /Train it:\n {2}npx gradcast (.*)\n/.exec(output) ?? [];
    const args = [
      ...command.split(' '),
      '--epochs',
      '3',
      '--workers',
      '1',
      '--engine',
      'wasm',
      '--out',
      'run',
    ];
    const program = join(packed.folder, 'node_modules/gradcast/bin/gradcast.js');
    const trained = runProgram([process.execPath, program, ...args], packed.folder);
    expect(Number(/Test accuracy: ([\d.]+)/.exec(trained)?.[1])).toBeGreaterThan(0.8);
    expect(existsSync(join(packed.folder, 'run/model/model.json'))).toBe(true);
  });

  test('replaces no file, and asks nothing where no terminal is', () => {
    mkdirSync(join(packed.folder, 'used'));
    writeFileSync(join(packed.folder, 'used/task.ts'), 'mine');
    expect(() => create('used', '--template', 'idx')).toThrow(
      /used has task\.ts already, which init does not replace\. Name another folder\./,
    );
    expect(readFileSync(join(packed.folder, 'used/task.ts'), 'utf8')).toBe('mine');
    expect(readdirSync(join(packed.folder, 'used'))).toEqual(['task.ts']);
    create('default');
    expect(readdirSync(join(packed.folder, 'default/data')).sort()).toEqual([
      'circles',
      'crosses',
      'squares',
    ]);
    expect(() => create('other', '--template', 'video')).toThrow(
      /Allowed choices are images, table, text, idx/,
    );
  });

  test('has the version of gradcast', () => {
    const { version, dependencies } = JSON.parse(
      readFileSync(join(root, 'create-gradcast/package.json'), 'utf8'),
    ) as { version: string; dependencies: Record<string, string> };
    expect([version, dependencies.gradcast]).toEqual(Array(2).fill(versionOf('package.json')));
  });
});

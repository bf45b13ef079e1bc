import { Option, type Command } from 'commander';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createContext } from '../../cli/context.ts';
import { CommandWithVariables, readVariables } from '../../cli/environment.ts';
import { createCli } from '../../cli/main.ts';
import { listVariables } from '../support/list-variables.ts';

const allCommands = (): CommandWithVariables =>
  createCli(
    createContext({
      version: '1.0.0',
      programFile: 'bin/gradcast.js',
      distDir: 'dist',
      prepare: () => Promise.resolve(),
      signals: { owners: 0 },
    }),
  );

/** Variables that are no options. */
const OTHERS = [
  ...['URL', 'GPU', 'GPU_POWER', 'SIBLING', 'DEBUG', 'NATIVE_DIR', 'CACHE_GB', 'MULTIPLY_ADD'],
  ...['MNIST_MIRRORS', 'DATA_MIRRORS', 'CHROMIUM', 'SOAK', 'TEST_SEEDS', 'TEST_RUNS', 'TEST_COUNTS'],
].map((name) => `GRADCAST_${name}`);

describe('the variables of options', () => {
  const optionsOf = (command: Command): Option[] => [
    ...command.options.filter(({ hidden, long }) => !hidden && long !== '--version'),
    ...command
      .createHelp()
      .visibleCommands(command)
      .filter((each) => each.name() !== 'help')
      .flatMap(optionsOf),
  ];
  const options = optionsOf(allCommands());

  it('are there for every option of every command, by its name', () => {
    expect(options.length).toBeGreaterThan(150);
    for (const { flags, envVar } of options) expect(envVar, flags).toMatch(/^GRADCAST_[A-Z0-9_]+$/);
    const names = options.map(({ envVar }) => envVar);
    expect(names).toEqual(expect.arrayContaining(['GRADCAST_BATCH_SIZE', 'GRADCAST_NO_DECAY']));
    expect(names.filter((name) => OTHERS.includes(name ?? ''))).toEqual([]);
  });

  it('mean the same in all commands that have them', () => {
    const kindOf = ({ required, optional }: Option): string =>
      required ? 'value' : optional ? 'optional value' : 'switch';
    const kinds = new Map<string, Option[]>();
    for (const option of options)
      kinds.set(option.envVar ?? '', [...(kinds.get(option.envVar ?? '') ?? []), option]);
    for (const [name, same] of kinds) expect(new Set(same.map(kindOf)).size, name).toBe(1);
    // A value that one command cannot read would end all others with an error.
    const choices = (name: string) =>
      new Set(kinds.get(name)?.map(({ argChoices }) => JSON.stringify(argChoices)));
    for (const name of kinds.keys()) expect(choices(name).size, name).toBe(1);
  });

  it('are in --help as a rule, with those that do not follow it, and in the list of docs/environment.md', async () => {
    let printed = '';
    const cli = allCommands();
    for (const command of [cli, ...cli.commands])
      command.exitOverride().configureOutput({ writeOut: (text) => (printed += text) });
    const help = (name: string): string => {
      printed = '';
      expect(() => cli.parse([name, '--help'], { from: 'user' })).toThrow();
      return printed;
    };
    expect(help('worker')).toContain('GRADCAST_BATCH_SIZE is --batch-size');
    expect(help('worker')).not.toContain('GRADCAST_ENGINE');
    expect(help('plan')).toMatch(/env:\s+GRADCAST_PLAN_WORKERS/);
    // npx vitest run --project quick test/cli/environment.test.ts --update writes the list.
    await expect(listVariables(allCommands())).toMatchFileSnapshot('../../docs/environment.md');
  });
});

describe('a variable that is none of gradcast', () => {
  /** Warnings of `gradcast` with an environment. */
  function warnings(env: NodeJS.ProcessEnv): string[] {
    const lines: string[] = [];
    const cli = allCommands();
    cli.command('test').action(() => undefined);
    readVariables(cli, env, (line) => lines.push(line));
    cli.parse(['test'], { from: 'user' });
    return lines;
  }

  it('is a warning if its name is mistyped', () => {
    expect(warnings({ GRADCAST_EPOCH: '3', GRADCAST_CACHE_BG: '2', GRADCAST_EPOCHS: '3' })).toEqual([
      "GRADCAST_EPOCH has no effect: there is no such variable. Did you mean 'GRADCAST_EPOCHS'?",
      "GRADCAST_CACHE_BG has no effect: there is no such variable. Did you mean 'GRADCAST_CACHE_GB'?",
    ]);
  });

  it('is none if its name is like no other, or if it is set by a program', () => {
    const names = ['GRADCAST_VERSION', 'GRADCAST_PORT_2718_TCP', 'GRADCAST_SERVICE_PORT', 'EPOCH', ...OTHERS];
    expect(warnings(Object.fromEntries(names.map((name) => [name, '1'])))).toEqual([]);
  });

  it('is none in a process that gradcast has started, whose parent has warned', () => {
    expect(warnings({ GRADCAST_EPOCH: '3', GRADCAST_LEASH: '1' })).toEqual([]);
  });
});

describe('a value that is none of the choices', () => {
  const refusal = (...args: string[]): string => {
    const cli = allCommands();
    let printed = '';
    for (const command of [cli, ...cli.commands])
      command.exitOverride().configureOutput({ writeErr: (text) => (printed += text) });
    expect(() => cli.parse(args, { from: 'user' })).toThrow();
    return printed;
  };

  it.each([
    ['train --engine wsam', 'wasm'],
    ['train --codec flaot16', 'float16'],
    ['train --log jsno', 'json'],
    ['train --optimizer adma', 'adam'],
    ['train --schedule cosin', 'cosine'],
    ['train --export onx', 'onnx'],
    ['export runs/a --format kears', 'keras'],
    ['init --template tabel', 'table'],
    ['completion bsh', 'bash'],
  ])('%s is answered with %s', (args, name) => {
    expect(refusal(...args.split(' '))).toContain(` Did you mean '${name}'?`);
  });

  it('is answered with the choices alone if it is near none', () => {
    expect(refusal('train', '--engine', 'cuda')).toContain(
      'Allowed choices are auto, native, wasm, webgpu.\n',
    );
  });

  it('of a command or an option is answered by commander', () => {
    expect(refusal('trian')).toContain('(Did you mean train?)');
    expect(refusal('train', '--epoch', '3')).toContain('(Did you mean --epochs?)');
  });
});

describe('a command line with variables', () => {
  afterEach(() => vi.unstubAllEnvs());

  /** Flags of a small command line, or the message of its error. */
  function parse(env: Readonly<Record<string, string>>, ...args: string[]) {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    let flags: object | undefined;
    let printed = '';
    const cli = new CommandWithVariables('gradcast').exitOverride().configureOutput({
      writeErr: (text) => (printed += text),
    });
    const command = cli
      .command('train')
      .option('--epochs <n>', 'passes', Number, 12)
      .option('--exact', 'same bits')
      .option('--port <n>', 'port', Number, 0)
      .option('--token <token>', 'secret')
      .addOption(new Option('--out <dir>').conflicts('resume'))
      .option('--resume <dir>')
      .addOption(new Option('--gpu <name>').env('GRADCAST_INSTALL_GPU'))
      .action((parsed: object) => {
        flags = { ...parsed };
      });
    command.exitOverride();
    readVariables(cli, process.env, (line) => (printed += line));
    try {
      cli.parse(['train', ...args], { from: 'user' });
    } catch {
      return printed.trim();
    }
    return flags;
  }

  it('takes a flag first, then the variable, then the default', () => {
    const env = { GRADCAST_EPOCHS: '3' };
    expect(parse({})).toMatchObject({ epochs: 12 });
    expect(parse(env)).toMatchObject({ epochs: 3 });
    expect(parse(env, '--epochs', '5')).toMatchObject({ epochs: 5 });
  });

  it('sets an option without an argument with 1, and leaves it out with 0', () => {
    for (const value of ['1', 'true', 'Yes', 'on'])
      expect(parse({ GRADCAST_EXACT: value })).toMatchObject({ exact: true });
    for (const value of ['0', 'False', 'no', 'off', ''])
      expect(parse({ GRADCAST_EXACT: value })).not.toHaveProperty('exact');
    expect(parse({ GRADCAST_EXACT: 'maybe' })).toBe(
      "error: option '--exact' value 'maybe' from env 'GRADCAST_EXACT' is invalid. It takes 1 or 0.",
    );
  });

  it('takes an empty variable for none, but not that of a secret', () => {
    expect(parse({ GRADCAST_EPOCHS: ' ', GRADCAST_TOKEN: '' })).toMatchObject({ epochs: 12, token: '' });
  });

  it('ignores the port that Kubernetes sets for a Service named gradcast', () => {
    expect(parse({ GRADCAST_PORT: 'tcp://10.0.0.1:2718' })).toMatchObject({ port: 0 });
  });

  it('names the variable of a conflict', () => {
    expect(parse({ GRADCAST_OUT: 'a' }, '--resume', 'b')).toBe(
      "error: environment variable 'GRADCAST_OUT' cannot be used with option '--resume <dir>'",
    );
  });

  it('uses the name that an option gives its variable', () => {
    expect(parse({ GRADCAST_GPU: 'Arc' })).not.toHaveProperty('gpu');
    expect(parse({ GRADCAST_INSTALL_GPU: 'Arc' })).toMatchObject({ gpu: 'Arc' });
  });

  it('takes all variables of options out of the environment when the command begins', () => {
    parse({ GRADCAST_TOKEN: 's3cret', GRADCAST_EPOCHS: '2', GRADCAST_GPU: 'Arc' });
    expect(Object.keys(process.env).filter((name) => name.startsWith('GRADCAST_'))).toContain('GRADCAST_GPU');
    expect(process.env).not.toHaveProperty('GRADCAST_TOKEN');
    expect(process.env).not.toHaveProperty('GRADCAST_EPOCHS');
  });
});

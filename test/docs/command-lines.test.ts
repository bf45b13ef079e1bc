import type { Command } from 'commander';
import { expect, test } from 'vitest';
import type { CliContext } from '../../cli/context.ts';
import { createCli } from '../../cli/main.ts';
import { codeBlocks, documents, type CodeBlock } from './documents.ts';

const PROGRAM = /^(?:npx gradcast|gradcast|node bin\/gradcast\.js|npm start --)(?: |$)/;

/** Command lines in a block of a shell, or without a language, where an explanation may follow after two spaces. */
function commandLines({ document, line, language, text }: CodeBlock): { where: string; command: string }[] {
  if (!['', 'sh', 'bash', 'console'].includes(language)) return [];
  return text
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((each) =>
      each
        .trim()
        .replace(/^\$ /, '')
        .replace(/^(?:[A-Z_]+=\S* )+/, ''),
    )
    .filter((each) => PROGRAM.test(each))
    .map((command) => ({
      where: `${document}:${line}`,
      command: (language === '' ? command.replace(/\s{2,}.*/, '') : command).replace(
        /\s+#\s.*|\s*(?:[|>&;]|2>).*/,
        '',
      ),
    }))
    .filter(({ command }) => !command.includes('...'));
}

/** Arguments of a command line; variables of the shell count as 1. */
const argumentsOf = (command: string): string[] =>
  [...command.replace(PROGRAM, '').matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, plain]) =>
    (double ?? single ?? plain ?? '').replaceAll(/\$\{?\w+\}?/g, '1'),
  );

/** The program's commands, which parse and do nothing. */
function createParser(): Command {
  const cli = createCli({ version: '0', commandLine: 'gradcast' } as CliContext);
  const silence = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: () => undefined, writeOut: () => undefined });
    if (
      command.commands.length === 0 ||
      command.registeredArguments.length > 0 ||
      command.name() === 'engine'
    )
      command.action(() => undefined);
    command.commands.forEach(silence);
  };
  silence(cli);
  return cli;
}

const lines = documents
  .filter((document) => document !== 'CHANGELOG.md')
  .flatMap((document) => codeBlocks(document).flatMap(commandLines));

test('every command line in the documents has options that exist, with values that they take', () => {
  expect(lines.length).toBeGreaterThan(80);
  const wrong = lines.flatMap(({ where, command }) => {
    const args = argumentsOf(command);
    try {
      createParser().parse(command.startsWith('npm start') ? ['train', ...args] : args, { from: 'user' });
      return [];
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      return code === 'commander.helpDisplayed' || code === 'commander.version'
        ? []
        : [`${where}: ${command}: ${message}`];
    }
  });
  expect(wrong).toEqual([]);
});

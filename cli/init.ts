import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Option, type Command } from 'commander';
import type { Template } from '../coordinator/commands/example-data.ts';
import { isInteractive } from '../shared/util/terminal.ts';
import type { CliContext } from './context.ts';

/** Templates, and the data that they are for. */
const TEMPLATES: Readonly<Record<Template, string>> = {
  images: 'a folder of images for each class',
  table: 'a CSV file with numbers and categories',
  text: 'a text, of which the next character is predicted',
  idx: 'images in IDX files, as those of MNIST',
};
const DEFAULT_TEMPLATE: Template = 'images';

/** `gradcast init`: a folder with a task, its data and the command that trains it. */
export function addInit(cli: Command, context: CliContext): void {
  cli
    .command('init')
    .summary('make a folder with a task to train')
    .description(
      'Make a folder with a task file, made-up data and a README, which one command trains. No file is replaced.',
    )
    .argument('[dir]', 'folder of the project', '.')
    .addOption(
      new Option(
        '--template <kind>',
        `kind of the data (default: asks in a terminal, else ${DEFAULT_TEMPLATE})`,
      ).choices(Object.keys(TEMPLATES)),
    )
    .addHelpText(
      'after',
      `
Templates:
${Object.entries(TEMPLATES)
  .map(([name, text]) => `  ${name.padEnd(8)}${text}`)
  .join('\n')}

Examples:
  gradcast init my-images --template images
  gradcast init my-table --template table
  npm create gradcast my-project -- --template text`,
    )
    .action(async (dir: string, { template }: { readonly template?: Template }) => {
      const chosen =
        template ??
        (process.stdin.isTTY && isInteractive(process.stdout, process.env) ? await ask() : DEFAULT_TEMPLATE);
      await context.prepare();
      const { initProject } = await import('../coordinator/commands/init-project.ts');
      const names = await initProject(dir, {
        template: chosen,
        templatesDir: join(context.programFile, '../../templates'),
        version: context.version,
      });
      print(`Made in ${dir}: ${names.join(', ')}`);
      print('Train it:');
      print(`  ${context.commandLine} train ${quote(join(dir, 'task.ts'))}`);
    });
}

async function ask(): Promise<Template> {
  const names = Object.keys(TEMPLATES) as Template[];
  const lines = names.map((name, i) => `  ${i + 1}  ${name.padEnd(8)}${TEMPLATES[name]}`);
  print(`What is your data?\n${lines.join('\n')}`);
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  try {
    for (;;) {
      const answer = (await prompt.question(`Number or name (${DEFAULT_TEMPLATE}): `)).trim();
      const found =
        answer === ''
          ? DEFAULT_TEMPLATE
          : (names[Number(answer) - 1] ?? names.find((name) => name === answer));
      if (found !== undefined) return found;
    }
  } finally {
    prompt.close();
  }
}

const quote = (path: string): string => (/^[\w./\\-]+$/.test(path) ? path : `'${path}'`);

const print = (line: string): boolean => process.stdout.write(`${line}\n`);

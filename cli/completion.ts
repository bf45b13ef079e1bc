import { readdirSync } from 'node:fs';
import { Argument, type Command, type Option } from 'commander';
import { EXPORT_FORMATS } from '../coordinator/export/formats.ts';
import { SCRIPTS } from './completion-scripts.ts';

/** First argument of a request of a script: `gradcast complete -- train --eng`. It is no command that a person types. */
export const COMPLETE = 'complete';

/** Folder that runs are in by default. */
const RUNS = 'runs';

/** Names that the shell adds from the disk, by the numbers of Cobra's protocol, which other programs that complete know. */
const Disk = { files: 0, nothing: 4, folders: 16 } as const;

/** Words that may stand in a place of the command line. */
interface Candidates {
  /** Words with their descriptions, which may be empty. */
  readonly words: readonly (readonly [word: string, description: string])[];
  readonly disk: (typeof Disk)[keyof typeof Disk];
}

/** Names of an option or argument that has no choices, from what a run would check them with. */
const NAMES: Readonly<Record<string, () => readonly string[] | Promise<readonly string[]>>> = {
  '--data': listDataSets,
  source: listDataSets,
  '--loss': async () => (await import('../shared/model/losses.ts')).LOSS_NAMES,
  '--metrics': async () => ['accuracy', ...(await import('../shared/model/metrics.ts')).METRIC_NAMES],
  '--export': () => EXPORT_FORMATS,
  ...Object.fromEntries(
    ['--resume', '--resume-or-start', 'model-dir', 'a', 'b'].map((key) => [key, listRuns]),
  ),
};
/** Options with names that are separated by commas. */
const LISTS: readonly (string | undefined)[] = ['--metrics', '--export'];

async function listDataSets(): Promise<string[]> {
  return Object.keys((await import('../coordinator/data/named/data-sets.ts')).NAMED_SETS);
}

/** Folders of runs, the latest first. */
function listRuns(): string[] {
  try {
    const entries = readdirSync(RUNS, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return entries.map(({ name }) => `${RUNS}/${name}`).toSorted((a, b) => (a < b ? 1 : -1));
  } catch {
    return [];
  }
}

/** `gradcast completion`: prints the script of a shell. */
export function addCompletion(cli: Command): void {
  cli
    .command('completion')
    .summary('print a script that completes command lines with Tab')
    .description(
      'Print a script with which a shell completes commands, options, their values and folders of runs. It is for the command gradcast, which npm install --global gradcast makes; node bin/gradcast.js of a clone, and npx gradcast, are not completed.',
    )
    .addArgument(new Argument('<shell>', 'shell that reads the script').choices(Object.keys(SCRIPTS)))
    .addHelpText(
      'after',
      `
Install it once; new shells have it, also after an update of gradcast:
  bash         gradcast completion bash > ~/.gradcast.bash
               echo 'source ~/.gradcast.bash' >> ~/.bashrc
  zsh          gradcast completion zsh > ~/.gradcast.zsh
               echo 'autoload -Uz compinit; compinit; source ~/.gradcast.zsh' >> ~/.zshrc
  fish         gradcast completion fish > ~/.config/fish/completions/gradcast.fish
  PowerShell   gradcast completion powershell >> $PROFILE`,
    )
    .action((shell: keyof typeof SCRIPTS) => void process.stdout.write(SCRIPTS[shell]));
}

/**
 * Words that complete a command line, one a line with its description, if it has one, behind a tab; and ':' with what the shell adds from the disk.
 * @param args words behind the program's name; the last is the one to complete, and may be empty
 * @example
 * await complete(cli, ['train', '--engine', 'w']); // ['wasm', 'webgpu', ':4']
 */
export async function complete(cli: Command, args: readonly string[]): Promise<string[]> {
  const { command, option, position } = readWords(cli, args.slice(0, -1));
  const last = args.at(-1) ?? '';
  const [, start = '', value = last] = /^(--[^=]+=)(.*)$/s.exec(last) ?? [];
  const isValue = option !== undefined && takes(option, last);
  const asked = isValue ? option : findOption(command, start.slice(0, -1));
  // bash takes the = of --engine= for a word.
  const typed = isValue && last === '=' ? '' : value;
  const { words, disk } =
    asked !== undefined
      ? await valuesOf(asked, typed)
      : last.startsWith('-')
        ? optionsOf(command, args.slice(0, -1))
        : await argumentsOf(command, position, typed);
  return [
    ...words
      .filter(([word]) => word.startsWith(typed))
      .map(([word, text]) =>
        [`${start}${word}`, ...(text === '' ? [] : [text.replaceAll(/\s+/g, ' ')])].join('\t'),
      ),
    `:${disk}`,
  ];
}

/** Command of some words, the option whose value comes next, and the number of arguments before it. */
function readWords(
  cli: Command,
  words: readonly string[],
): { readonly command: Command; readonly option: Option | undefined; readonly position: number } {
  let command = cli;
  let option: Option | undefined;
  let position = 0;
  for (const word of words) {
    if (option !== undefined && word === '=') continue;
    if (option !== undefined && takes(option, word)) {
      if (!option.variadic) option = undefined;
      continue;
    }
    option = undefined;
    if (word.startsWith('-')) {
      option = findOption(command, word);
      continue;
    }
    const sub = command.commands.find((each) => each.name() === word);
    // `help` takes the names of commands, too.
    if (sub === undefined && word === 'help') continue;
    command = sub ?? command;
    position = sub === undefined ? position + 1 : 0;
  }
  return { command, option, position };
}

/** Whether a word behind an option is its value, as commander reads it. */
const takes = ({ required, optional, variadic }: Option, word: string): boolean =>
  word.startsWith('-') ? required && !variadic : required || optional;

const findOption = (command: Command, flag: string): Option | undefined =>
  command.options.find(({ long, short }) => long === flag || short === flag);

function optionsOf(command: Command, used: readonly string[]): Candidates {
  const options = command.createHelp().visibleOptions(command);
  const words = options.flatMap(({ long, variadic, description }): [string, string][] =>
    long === undefined || (used.includes(long) && !variadic) ? [] : [[long, description]],
  );
  return { words, disk: Disk.nothing };
}

async function valuesOf({ long, flags, argChoices }: Option, typed: string): Promise<Candidates> {
  const key = long ?? '';
  const [, kind = ''] = /[<[](file|path|dir)\b/.exec(flags) ?? [];
  // Of a list, what is behind the last comma is completed.
  const before = LISTS.includes(key) ? typed.slice(0, typed.lastIndexOf(',') + 1) : '';
  const names = argChoices ?? (await NAMES[key]?.()) ?? [];
  return candidatesOf(
    names.map((name) => `${before}${name}`),
    kind,
    typed,
  );
}

async function argumentsOf(command: Command, position: number, typed: string): Promise<Candidates> {
  const { registeredArguments } = command;
  const last = registeredArguments.at(-1);
  const argument = registeredArguments[position] ?? (last?.variadic === true ? last : undefined);
  const key = argument?.name() ?? '';
  const kind =
    { task: 'file', input: 'file', source: 'path', 'model-dir': 'dir', a: 'dir', b: 'dir' }[key] ?? key;
  const { words, disk } = candidatesOf(argument?.argChoices ?? (await NAMES[key]?.()) ?? [], kind, typed);
  const commands = position > 0 ? [] : command.createHelp().visibleCommands(command);
  return {
    words: [
      ...commands.map((each) => [each.name(), each.summary() || each.description()] as const),
      ...words,
    ],
    disk,
  };
}

/** @param kind of the value in --help: a file or path, a folder, or something else */
function candidatesOf(names: readonly string[], kind: string, typed: string): Candidates {
  const words = names.map((name) => [name, ''] as const);
  // Where one of the runs is meant, other folders are in the way.
  const isRun = kind === 'dir' && names.some((name) => name.startsWith(typed));
  if (kind === 'file' || kind === 'path') return { words, disk: Disk.files };
  return { words, disk: kind === 'dir' && !isRun ? Disk.folders : Disk.nothing };
}

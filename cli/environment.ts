import { Command, Help, InvalidArgumentError, type Argument, type Option } from 'commander';
import { didYouMean, nearestName } from '../shared/util/suggest.ts';

const PREFIX = 'GRADCAST_';
const TRUE = ['1', 'true', 'yes', 'on'];
const FALSE = ['0', 'false', 'no', 'off'];

/** Variable of the coordinator's link, which is an argument of commands and no option. */
export const URL_VARIABLE = `${PREFIX}URL`;

/** Variables of secrets. An empty one is an error: without its token, a coordinator admits every worker. */
const SECRETS = [`${PREFIX}TOKEN`, `${PREFIX}WORKERS_TOKEN`, `${PREFIX}WEBHOOK_SECRET`];

/** Variables that people set and that are no options; docs/environment.md lists them. */
const OTHERS = 'URL GPU GPU_POWER CACHE_GB MNIST_MIRRORS DATA_MIRRORS NATIVE_DIR MULTIPLY_ADD DEBUG'.split(
  ' ',
);

/** Variables that programs set: this one for its processes, its tests and benches, and Kubernetes for a Service named gradcast. */
const OF_PROGRAMS =
  /^(LEASH|SIBLING|CHROMIUM|SOAK|(TESTS?|REQUIRE|BENCH)_.*|(.*_)?(PORT|SERVICE)_.*|.*_PORT)$/;

/** A warning is printed where nothing may be wrong: GRADCAST_VERSION of a person is not GRADCAST_EPSILON. */
const MAX_EDITS = 2;

/** Variable by the long name of an option: GRADCAST_BATCH_SIZE of --batch-size. */
const variableOf = ({ long }: Option): string =>
  `${PREFIX}${(long ?? '').replace(/^--/, '').replaceAll('-', '_').toUpperCase()}`;

/** Options of a command and of its subcommands. */
const optionsOf = (command: Command): Option[] => [
  ...command.options,
  ...command.commands.flatMap(optionsOf),
];

/**
 * A command whose options, and those of its subcommands, can also be given as environment variables: GRADCAST_ and the option's
 * name. An option whose name means something else in other commands names its variable itself, with `Option.env`; hidden options have
 * none. A flag of the command line comes first, then the variable, then a task file, then the default. Empty variables count as not
 * set. Options without an argument take 1 or 0.
 * @example
 * new CommandWithVariables('gradcast').option('--batch-size <n>'); // also GRADCAST_BATCH_SIZE
 */
export class CommandWithVariables extends Command {
  override createCommand(name?: string): CommandWithVariables {
    return new CommandWithVariables(name);
  }

  override addArgument(argument: Argument): this {
    return super.addArgument(withSuggestions(argument));
  }

  override addOption(option: Option): this {
    withSuggestions(option);
    return super.addOption(
      option.hidden || option.envVar !== undefined ? option : option.env(variableOf(option)),
    );
  }
}

/** An option or argument that answers a value which is none of its choices with the nearest one. */
function withSuggestions<Parsed extends Pick<Option, 'argChoices' | 'parseArg'>>(parsed: Parsed): Parsed {
  const { argChoices, parseArg } = parsed;
  if (argChoices === undefined || parseArg === undefined) return parsed;
  parsed.parseArg = <T>(value: string, previous: T): T => {
    try {
      return parseArg(value, previous);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      throw new InvalidArgumentError(`${error.message}${didYouMean(value, argChoices)}`);
    }
  };
  return parsed;
}

/**
 * Leaves variables that follow the rule out of the help of a command line's options, and of those of its subcommands: one line says the
 * rule.
 * @param cli before its commands are added
 */
export function shortenHelp(cli: Command): void {
  cli.configureHelp({
    optionDescription(option) {
      const { long, envVar } = option;
      const isByRule = long !== undefined && envVar === variableOf(option);
      const shown = Object.create(option, isByRule ? { envVar: { value: undefined } } : {}) as Option;
      return Help.prototype.optionDescription.call(this, shown);
    },
  });
}

/**
 * Lets a command line read variables. When its command begins, they are taken out of the environment: the processes that it starts
 * get what they need as arguments, and secrets as variables of their own.
 * @param cli with all commands
 * @param env environment of this process, which is changed
 * @param warn gets a sentence for each variable whose name is mistyped
 */
export function readVariables(
  cli: CommandWithVariables,
  env: NodeJS.ProcessEnv,
  warn: (line: string) => void,
): void {
  const options = optionsOf(cli).filter(({ envVar }) => envVar !== undefined);
  for (const option of options) if (isLeftOut(option, valueOf(option, env))) remove(option, env);
  cli.hook('preAction', (_, command) => {
    command.options.filter(isFlag).forEach((option) => checkFlag(command, option, env));
    // The process that has started this one, with its environment, has warned.
    if (env.GRADCAST_LEASH === undefined) findMistyped(options, env).forEach(warn);
    for (const option of options) remove(option, env);
  });
}

/** Sentences about variables that look like one of gradcast's, and have no effect. */
function findMistyped(options: readonly Option[], env: NodeJS.ProcessEnv): string[] {
  const withoutPrefix = (name: string): string => name.slice(PREFIX.length);
  const known = [...new Set(options.map(({ envVar = '' }) => withoutPrefix(envVar))), ...OTHERS];
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX))
    .map(withoutPrefix)
    .filter((name) => !known.includes(name) && !OF_PROGRAMS.test(name))
    .flatMap((name) => {
      const nearest = nearestName(name, known, MAX_EDITS);
      return nearest === undefined
        ? []
        : [`${PREFIX}${name} has no effect: there is no such variable. Did you mean '${PREFIX}${nearest}'?`];
    });
}

const isFlag = ({ required, optional }: Option): boolean => !required && !optional;
const valueOf = ({ envVar = '' }: Option, env: NodeJS.ProcessEnv): string | undefined => env[envVar];
const remove = ({ envVar = '' }: Option, env: NodeJS.ProcessEnv): boolean =>
  Reflect.deleteProperty(env, envVar);

/** Whether a variable leaves its option at the default. */
function isLeftOut(option: Option, value: string | undefined): boolean {
  const { envVar = '' } = option;
  if (value === undefined) return false;
  if (value.trim() === '') return !SECRETS.includes(envVar);
  // Kubernetes sets it in each container for a Service named gradcast, unless enableServiceLinks is false.
  if (envVar === `${PREFIX}PORT`) return value.startsWith('tcp://');
  return isFlag(option) && FALSE.includes(value.toLowerCase());
}

/** Commander sets an option without an argument for any value of its variable. */
function checkFlag(command: Command, option: Option, env: NodeJS.ProcessEnv): void {
  const value = valueOf(option, env);
  if (value === undefined || command.getOptionValueSource(option.attributeName()) !== 'env') return;
  if (TRUE.includes(value.toLowerCase())) return;
  command.error(
    `error: option '${option.flags}' value '${value}' from env '${option.envVar ?? ''}' is invalid. It takes 1 or 0.`,
  );
}

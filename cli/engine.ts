import { Option, type Command } from 'commander';
import type { EngineFlags, InstallFlags, BenchmarkFlags } from './run-engine.ts';
import type { CliEnvironment } from './main.ts';
import { engineOption, integer } from './options.ts';

/** `gradcast engine`, `engine install`, and the hidden commands that measure one engine in a process of its own. */
export function addEngine(cli: Command, load: CliEnvironment['load']): void {
  const engine = cli
    .command('engine')
    .enablePositionalOptions()
    .summary('what computes on this machine')
    .description(
      'What engines this machine has, which would be used and why not a better one, each measured.',
    )
    .option('--json', 'as JSON')
    .option('--profile', 'instead: where the time of a gradient step goes, op by op')
    .addOption(engineOption('which one to profile'))
    .option('--batch <n>', 'samples of a step to profile', integer(1, 65536), 128)
    .addHelpText(
      'after',
      `
Examples:
  gradcast engine
  gradcast engine --profile
  gradcast engine --profile --engine wasm --batch 64
  gradcast engine install
  gradcast engine install --gpu`,
    )
    .action(async (flags: EngineFlags) => {
      const commands = await load();
      process.exitCode = await commands.engine(flags);
    });

  engine
    .command('install')
    .summary('get native TensorFlow')
    .description(
      "Get native TensorFlow for this machine by the first way that works: one that is here, the package's own download, " +
        'or a TensorFlow wheel and a build of the addon. It lands in the cache of this user.',
    )
    .option('--gpu', 'with CUDA, for NVIDIA GPUs')
    .addOption(
      new Option('--if-possible', 'do not retry soon after a failure; failing is no error')
        .conflicts('gpu')
        .hideHelp(),
    )
    .addOption(new Option('--background', 'at low priority, until stdin closes').hideHelp())
    .addHelpText(
      'after',
      `
Examples:
  gradcast engine install
  gradcast engine install --gpu`,
    )
    .action(async (flags: InstallFlags) => {
      const commands = await load();
      process.exitCode = await commands.engineInstall(flags);
    });

  engine
    .command('probe', { hidden: true })
    .description('Try one engine in this process and print what it says.')
    .addOption(new Option('--engine <engine>').choices(['native', 'wasm']).default('native'))
    .option('--package <name>', 'of a native one')
    .option('--folder <dir>', "an engine's folder")
    .option('--batch <n>', 'samples a step', integer(1, 65536), 64)
    .action(async (flags: BenchmarkFlags) => {
      const commands = await load();
      await commands.engineProbe(flags);
    });

  engine
    .command('pace', { hidden: true })
    .description('Measure gradient steps of the native engine, side by side with others.')
    .option('--batch <n>', 'samples a step', integer(1, 65536), 128)
    .action(async ({ batch }: { readonly batch: number }) => {
      const commands = await load();
      await commands.enginePace(batch);
    });
}

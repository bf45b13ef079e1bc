import type { Command } from 'commander';
import type { CliContext } from './context.ts';

interface JsonFlag {
  readonly json?: boolean;
}

const JSON_HELP = 'print JSON, for programs';

/** `gradcast runs`: lists the runs in a folder with their figures. */
export function addRuns(cli: Command, context: CliContext): void {
  cli
    .command('runs')
    .summary('list runs with their figures')
    .description(
      'List runs, the earliest first: when each began, its model and data, epochs, steps, loss, first metric, time and state. Times are UTC.',
    )
    .argument('[dir]', 'folder that has the folders of runs', 'runs')
    .option('--json', JSON_HELP)
    .addHelpText('after', '\nExamples:\n  gradcast runs\n  gradcast runs /data/runs --json')
    .action(async (dir: string, { json }: JsonFlag) => {
      await context.prepare();
      const [{ listRuns }, { describeRuns }] = await Promise.all([
        import('../coordinator/run/read-run.ts'),
        import('../coordinator/run/describe-runs.ts'),
      ]);
      const runs = await listRuns(dir);
      if (json === true) print([JSON.stringify(runs, null, 2)]);
      else print(runs.length === 0 ? [`${dir} has no run.`] : describeRuns(runs));
    });
}

/** `gradcast compare`: shows how two runs differ. */
export function addCompare(cli: Command, context: CliContext): void {
  cli
    .command('compare')
    .summary('compare two runs')
    .description(
      'Compare two runs: options that differ, figures side by side, both curves in one drawing, and whether the weights are the same.',
    )
    .argument('<a>', 'folder of a run, or its model/')
    .argument('<b>', 'folder of another run')
    .option('--json', JSON_HELP)
    .addHelpText('after', '\nExample:\n  gradcast compare runs/2026-01-31-k3v9qd runs/2026-02-01-p7x2mc')
    .action(async (first: string, second: string, { json }: JsonFlag) => {
      await context.prepare();
      const [{ readRun, readWeights }, { compareRuns, describeComparison }, { curveStyle }] =
        await Promise.all([
          import('../coordinator/run/read-run.ts'),
          import('../coordinator/run/describe-runs.ts'),
          import('../coordinator/report/curve.ts'),
        ]);
      const [a, b] = await Promise.all([readRun(first), readRun(second)]);
      const weights = await Promise.all([readWeights(a.dir), readWeights(b.dir)]);
      const comparison = compareRuns(a, b, weights);
      print(
        json === true
          ? [JSON.stringify({ a, b, ...comparison }, null, 2)]
          : describeComparison(a, b, comparison, { ...curveStyle(process.stdout), rows: 8 }),
      );
    });
}

function print(lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`${line}\n`);
}

import type { Command } from 'commander';

const HEAD = `# Environment variables

Every option of every command is an environment variable, too. A flag comes first, then the variable, then a task file, then the
default. An option without an argument takes \`1\` or \`0\`; one with several values takes them with commas between. An empty variable
counts as not set, but for \`GRADCAST_TOKEN\`, \`GRADCAST_WORKERS_TOKEN\` and \`GRADCAST_WEBHOOK_SECRET\`, for which it is an error.
[docs/guide/fleets.md](guide/fleets.md) has examples. A variable whose name is nearly one of these, such as \`GRADCAST_EPOCH\`, has no effect,
and a warning names the one that may be meant.

\`GRADCAST_URL\` is the link of \`worker\`, \`relay\` and \`status\`; the first two take several, with spaces between. These variables are
no options: \`GRADCAST_GPU\` and \`GRADCAST_GPU_POWER\` ([GPUs](guide/gpus.md)), \`GRADCAST_CACHE_GB\`, \`GRADCAST_MNIST_MIRRORS\` and \`GRADCAST_DATA_MIRRORS\`
([data](own-data.md)), \`GRADCAST_NATIVE_DIR\`, the folder of native TensorFlow in an [image](guide/containers.md),
\`GRADCAST_MULTIPLY_ADD=0\`, which gives WebAssembly the bits of machines without fused multiply-add ([exact runs](decisions/0051-multiply-add.md)), and
\`GRADCAST_DEBUG=1\`, which adds the stack to an error.

A test writes this table.
`;

/** Text of docs/environment.md: the variables of a command line. */
export function listVariables(cli: Command): string {
  const rows = new Map<string, { flags: string; commands: string[] }>();
  const visit = (command: Command, name: string): void => {
    for (const { flags, envVar, hidden } of command.options) {
      if (hidden || envVar === undefined) continue;
      const row = rows.get(envVar) ?? { flags, commands: [] };
      row.commands.push(name);
      rows.set(envVar, row);
    }
    const visible = command.createHelp().visibleCommands(command);
    for (const each of visible.filter((sub) => sub.name() !== 'help'))
      visit(each, name === '' ? each.name() : `${name} ${each.name()}`);
  };
  visit(cli, '');
  const lines = [...rows]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { flags, commands }]) => [`\`${name}\``, `\`${flags}\``, commands.join(', ')]);
  const table = [['variable', 'option', 'commands'], ...lines];
  const widths = [0, 1, 2].map((i) => Math.max(...table.map((row) => (row[i] ?? '').length)));
  const format = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return `${HEAD}\n${[format(table[0] ?? []), rule, ...table.slice(1).map(format)].join('\n')}\n`;
}

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { writeDigits } from '../support/idx-bytes.ts';
import { soakSize } from '../support/soak-size.ts';
import { tinyTopology } from '../support/test-coordinator.ts';
import { withoutTimings } from '../support/training-run.ts';
import { waitForOutput, spawnGradcast, spawnWorker, type WorkerProcess } from '../support/worker-process.ts';

const kills = soakSize('KILLS', 4, 20);
const seed = Number(process.env.SEED ?? 1);
const epochs = String(soakSize('EPOCHS', 150, 400));
/** Fixed port, since a restarted coordinator has to listen on the same one. */
const PORT = 20_000 + (process.pid % 20_000);

test(`an exact run whose coordinator is killed ${kills} times at random moments ends with the same bits`, async () => {
  const scratch = await mkdtemp(join(tmpdir(), 'gradcast-kills-'));
  const data = join(scratch, 'digits');
  await writeDigits(data, syntheticDigits({ seed: 3, trainCount: 600, testCount: 200 }));
  const model = join(scratch, 'model.json');
  await writeFile(model, JSON.stringify(tinyTopology([28, 28, 1], 10)));
  const random = randomStream(seed, Purpose.syntheticDigits);
  const out = (name: string): string => join(scratch, name);
  const coordinator = (...args: string[]): WorkerProcess =>
    spawnGradcast(['coordinator', '--data', data, '--host', '127.0.0.1', '--port', String(PORT), ...args]);
  const fresh = (name: string): string[] => [
    ...['--exact', '--epochs', epochs, '--model', model, '--out', out(name), '--checkpoint-every', '7'],
  ];
  const url = `ws://127.0.0.1:${PORT}`;
  const workers: WorkerProcess[] = [];
  try {
    const quiet = coordinator(...fresh('quiet'));
    const one = spawnWorker(url);
    expect(await quiet.ended, quiet.output()).toBe(0);
    await one.ended;

    for (const name of ['a', 'b', 'c']) workers.push(spawnWorker(url, '--name', name));
    let run = coordinator(...fresh('killed'));
    let killed = 0;
    for (; killed < kills; killed++) {
      // At a random moment among steps and checkpoints, sometimes before the first.
      const afterMs = random.below(1_500);
      if (killed % 5 !== 4) await waitForOutput(run, /Epoch \d+\/.*\n?/);
      const ended = await Promise.race([
        run.ended,
        new Promise<null>((resolve) => setTimeout(() => resolve(null), afterMs)),
      ]);
      if (ended !== null) break;
      run.kill('SIGKILL');
      await run.ended;
      const from = /Resuming .*/.exec(run.output())?.[0] ?? 'a new run';
      console.log(`killed after ${afterMs} ms: ${from}`);
      run = coordinator('--resume', out('killed'));
    }
    expect(await run.ended, run.output()).toBe(0);
    expect(killed).toBe(kills);
    const history = async (name: string): Promise<EpochRecord[]> =>
      (await readFile(join(out(name), 'history.jsonl'), 'utf8'))
        .trim()
        .split('\n')
        .map((line) => withoutTimings(JSON.parse(line) as EpochRecord));
    const weights = async (name: string): Promise<Buffer> => {
      const [file = ''] = (await readdir(join(out(name), 'model'))).filter((each) => each.endsWith('.bin'));
      return readFile(join(out(name), 'model', file));
    };
    expect(await history('killed')).toEqual(await history('quiet'));
    expect((await weights('killed')).equals(await weights('quiet'))).toBe(true);
    console.log(`${killed} kills: the same bits after ${epochs} epochs`);
  } finally {
    for (const worker of workers) worker.kill('SIGKILL');
    await rm(scratch, { recursive: true, force: true });
  }
});

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { testPrograms } from '../../scripts/test-programs.js';
import { findProgram } from '../../scripts/package-manager.js';

const run = promisify(execFile);

const NODES = ['n1', 'n2', 'n3'];
const CPUS = 4;
/** Time until the start of a job is set again, as Slurm may have set it meanwhile. */
const CHANGE_MS = 10_000;
const POLL = { timeout: 60_000, interval: 500 };

/** A cluster of three nodes on this machine, with a partition `low` and one `high`, whose jobs preempt those of `low` after a grace time. */
export interface Slurm {
  /** Folder for jobs and their logs, which all nodes share. */
  readonly folder: string;
  /** Runs a command of Slurm, such as `sbatch`, in the folder. @returns what it prints, trimmed */
  command(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string>;
  /** @returns states such as RUNNING of a job, one for each task of an array; none once Slurm has forgotten it */
  states(job: string): Promise<string[]>;
  /** Lets jobs that were queued again start now rather than after Slurm's two minutes. Waits until they have this state. */
  startNow(job: string, states: readonly string[]): Promise<void>;
  /** Cancels all jobs and ends the daemons. */
  stop(): Promise<void>;
}

/** Starts munged, slurmctld and three slurmd with a configuration of their own, on free ports. */
export async function startSlurm(): Promise<Slurm> {
  const folder = await mkdtemp(join(tmpdir(), 'gradcast-slurm-'));
  const at = (name: string): string => join(folder, 'slurm', name);
  await mkdir(at('munge'), { recursive: true, mode: 0o700 });
  await mkdir(at('state'));
  await writeFile(at('munge/key'), randomBytes(1_024), { mode: 0o600 });
  const [controllerPort, ...ports] = await freePorts(1 + NODES.length);
  const host = hostname().split('.')[0] ?? 'localhost';
  const user = process.getuid?.() === 0 ? 'root' : (process.env.USER ?? 'root');
  const config = at('slurm.conf');
  const nodes = NODES.map(
    (name, i) =>
      `NodeName=${name} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${ports[i]} CPUs=${CPUS} RealMemory=64000 State=UNKNOWN`,
  );
  await writeFile(
    config,
    `ClusterName=test
SlurmctldHost=${host}(127.0.0.1)
SlurmctldPort=${controllerPort}
AuthType=auth/munge
AuthInfo=socket=${at('munge/socket')}
SlurmUser=${user}
SlurmdUser=${user}
StateSaveLocation=${at('state')}
SlurmdSpoolDir=${at('spool.%n')}
SlurmctldPidFile=${at('slurmctld.pid')}
SlurmdPidFile=${at('%n.pid')}
SlurmctldLogFile=${at('slurmctld.log')}
SlurmdLogFile=${at('%n.log')}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
MpiDefault=none
MailProg=/bin/true
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
KillWait=10
${nodes.join('\n')}
PartitionName=low GraceTime=2 Nodes=${NODES.join(',')} Default=YES LLN=YES PriorityTier=1 State=UP
PartitionName=high Nodes=${NODES.join(',')} PriorityTier=10 PreemptMode=OFF State=UP
`,
  );
  const env = { ...process.env, SLURM_CONF: config };
  const munge = Object.entries({
    'key-file': 'key',
    socket: 'socket',
    'pid-file': 'pid',
    'log-file': 'log',
    'seed-file': 'seed',
  });
  // In the foreground, so that each is a child of this process and is ended by its id.
  const start = (program: string, ...args: string[]) => {
    const child = spawn(program, args, { env, stdio: 'ignore' });
    return { child, ended: once(child, 'exit') };
  };
  const daemons = [
    start(
      'munged',
      '--foreground',
      '--force',
      ...munge.map(([option, name]) => `--${option}=${at(`munge/${name}`)}`),
    ),
    start('slurmctld', '-D', '-f', config),
    ...NODES.map((name) => start('slurmd', '-D', '-f', config, '-N', name)),
  ];
  const command: Slurm['command'] = async (program, args, more = {}) =>
    (await run(program, args, { cwd: folder, env: { ...env, ...more } })).stdout.trim();
  const jobs = (...args: string[]): Promise<string[]> =>
    command('squeue', ['--noheader', '--array', ...args]).then((text) =>
      text.split('\n').filter((line) => line !== ''),
    );
  /** When the start of each job was set. */
  const changedMs = new Map<string, number>();
  const slurm: Slurm = {
    folder,
    command,
    states: (job) => jobs('--format=%T', `--jobs=${job}`).catch(() => []),
    startNow: (job, expected) =>
      vi.waitFor(async () => {
        // Only jobs whose old processes have ended, as Slurm sets their time once more then. A job that starts within the second in
        // which it was queued again is ended, as its credential counts as revoked.
        for (const line of await jobs('--states=PENDING', '--format=%A %r')) {
          const [pending = '', reason] = line.split(' ');
          if (reason !== 'BeginTime' || Date.now() - (changedMs.get(pending) ?? 0) < CHANGE_MS) continue;
          changedMs.set(pending, Date.now());
          // A job that has started meanwhile cannot be changed.
          await command('scontrol', ['update', `JobId=${pending}`, 'StartTime=now+2']).catch(() => undefined);
        }
        expect(await slurm.states(job)).toEqual(expected);
      }, POLL),
    async stop() {
      await command('scancel', [`--user=${user}`]).catch(() => undefined);
      await vi.waitFor(async () => expect(await jobs().catch(() => [])).toEqual([]), POLL);
      for (const { child, ended } of daemons.toReversed()) {
        child.kill('SIGTERM');
        await ended;
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await vi.waitFor(async () => {
      const states = await command('sinfo', ['--noheader', '--Node', '--partition=low', '--format=%T']);
      expect(states).toBe(NODES.map(() => 'idle').join('\n'));
    }, POLL);
  } catch (error) {
    const log = await readFile(at('slurmctld.log'), 'utf8').catch(String);
    for (const { child } of daemons) child.kill('SIGTERM');
    await rm(folder, { recursive: true, force: true });
    throw new Error(`Slurm does not start. Its log:\n${log}`, { cause: error });
  }
  return slurm;
}

/** Ports that are free now, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const { port } = server.address() as AddressInfo;
      server.close();
      await once(server, 'close');
      return port;
    }),
  );
}

/** Defines tests with Slurm. Without it they are skipped and counted; with GRADCAST_REQUIRE_SLURM=1 an added test fails. */
export function describeSlurm(define: () => void): void {
  const missing = testPrograms.slurm.programs.filter((name) => findProgram([name]) === null);
  describe.skipIf(missing.length > 0)('on Slurm', { tags: ['slurm'] }, define);
  if (missing.length === 0 || process.env.GRADCAST_REQUIRE_SLURM !== '1') return;
  test('Slurm is installed', () => {
    expect.fail(`these programs are missing: ${missing.join(', ')}. Run node scripts/get-programs.js slurm`);
  });
}

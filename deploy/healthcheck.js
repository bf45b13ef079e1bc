// Health check of the image: exit code 0 if the program in this container works.
import { readFileSync, realpathSync } from 'node:fs';
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';
import { fileURLToPath } from 'node:url';

const COMMANDS = ['coordinator', 'relay', 'train', 'worker'];
/** Default of coordinators and relays. */
const DEFAULT_PORT = '2718';
const TIMEOUT_MS = 4_000;

/**
 * Address that tells the health of a gradcast. A worker listens on no port, and a `train` without --port on one that is not known
 * here: they are healthy while they run.
 * @param {readonly string[]} args its command line
 * @param {Readonly<Record<string, string | undefined>>} env its environment
 * @returns {string | null}
 */
export function healthUrl(args, env) {
  const option = (name) => {
    const at = args.indexOf(`--${name}`);
    if (at >= 0) return args[at + 1] ?? '';
    const joined = args.find((arg) => arg.startsWith(`--${name}=`));
    return joined?.slice(name.length + 3) ?? env[`GRADCAST_${name.toUpperCase()}`];
  };
  const command = args.find((arg) => COMMANDS.includes(arg));
  const port = option('port') ?? (command === 'train' ? undefined : DEFAULT_PORT);
  if (command === undefined || command === 'worker' || port === undefined) return null;
  const isHttps = args.includes('--https') || ['1', 'true', 'yes', 'on'].includes(env.GRADCAST_HTTPS ?? '');
  return `${isHttps ? 'https' : 'http'}://127.0.0.1:${port}/health`;
}

function check() {
  // The first process is gradcast, or an init that has its command line as arguments.
  const url = healthUrl(readFileSync('/proc/1/cmdline', 'utf8').split('\0'), process.env);
  if (url === null) return;
  const end = (message) => {
    console.error(message);
    process.exit(1);
  };
  // The certificate has other names than the loopback's.
  const options = { timeout: TIMEOUT_MS, rejectUnauthorized: false };
  const get = url.startsWith('https:') ? getHttps : getHttp;
  get(url, options, ({ statusCode }) => {
    if (statusCode !== 200) end(`${url} answers ${statusCode}.`);
    process.exit(0);
  })
    .on('error', ({ message }) => end(message))
    .on('timeout', () => end(`${url} does not answer.`));
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) check();

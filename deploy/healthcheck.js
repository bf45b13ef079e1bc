// Health check of the image: exit code 0 if the program in this container works. A coordinator is asked for /health. A worker
// listens on no port: it is healthy while it runs.
import { readFileSync } from 'node:fs';
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';

const LISTENERS = ['coordinator', 'train', 'relay'];
const TIMEOUT_MS = 4_000;

// The first process is gradcast, or an init that has its command line as arguments.
const args = readFileSync('/proc/1/cmdline', 'utf8').split('\0');
const command = args.find((arg) => LISTENERS.includes(arg));
const port = option('port') ?? (command === 'coordinator' ? '2718' : undefined);
if (command === undefined || port === undefined) process.exit(0);

const isHttps =
  args.includes('--https') || option('cert') !== undefined || isTrue(process.env.GRADCAST_HTTPS);
// The certificate is that of another name than the loopback's.
const get = isHttps ? (url, then) => getHttps(url, { rejectUnauthorized: false }, then) : getHttp;
get(`${isHttps ? 'https' : 'http'}://127.0.0.1:${port}/health`, ({ statusCode }) => {
  process.exit(statusCode === 200 ? 0 : 1);
}).on('error', ({ message }) => {
  console.error(message);
  process.exit(1);
});
setTimeout(() => process.exit(1), TIMEOUT_MS);

/** Value of an option of the command line, else of its variable. */
function option(name) {
  const at = args.indexOf(`--${name}`);
  const joined = args.find((arg) => arg.startsWith(`--${name}=`));
  return at >= 0
    ? args[at + 1]
    : (joined?.slice(name.length + 3) ?? process.env[`GRADCAST_${name.toUpperCase()}`]);
}

function isTrue(value) {
  return value !== undefined && !['', '0', 'false', 'no'].includes(value);
}

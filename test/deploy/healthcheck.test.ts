import { expect, test } from 'vitest';
import { healthUrl } from '../../deploy/healthcheck.js';

const of = (command: string, env: Record<string, string> = {}): string | null =>
  healthUrl(['/usr/local/bin/node', '/usr/local/bin/gradcast', ...command.split(' ')], env);

test('a coordinator or a relay is asked on its port, by the option or its variable', () => {
  expect(of('coordinator --resume-or-start /data/run')).toBe('http://127.0.0.1:2718/health');
  expect(of('coordinator --port 3000')).toBe('http://127.0.0.1:3000/health');
  expect(of('coordinator --port=3000')).toBe('http://127.0.0.1:3000/health');
  expect(of('coordinator', { GRADCAST_PORT: '3000' })).toBe('http://127.0.0.1:3000/health');
  expect(of('coordinator --https')).toBe('https://127.0.0.1:2718/health');
  expect(of('coordinator', { GRADCAST_HTTPS: '1' })).toBe('https://127.0.0.1:2718/health');
  expect(of('relay coordinator:2718')).toBe('http://127.0.0.1:2718/health');
  expect(of('train --port 3000')).toBe('http://127.0.0.1:3000/health');
});

test('what listens on no known port is healthy while it runs', () => {
  expect(of('worker coordinator:2718')).toBeNull();
  expect(of('worker --name train coordinator:2718', { GRADCAST_PORT: '3000' })).toBeNull();
  expect(of('train --epochs 1')).toBeNull();
  expect(of('--help')).toBeNull();
});

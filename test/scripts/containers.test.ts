import { expect, test } from 'vitest';
import { missingPackages } from '../../scripts/containers.js';

test('packages of programs that are missing are named', () => {
  expect(missingPackages(() => true)).toEqual([]);
  expect(missingPackages((path) => !path.endsWith('/podman'))).toEqual(['podman']);
  expect(missingPackages(() => false)).toContain('debian-archive-keyring');
});

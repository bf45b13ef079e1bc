import { describe, expect, it } from 'vitest';
import { addressBlock, wideAddressBlock } from '../../../../coordinator/server/limits/address-block.ts';

describe('the address block of a client', () => {
  it.each([
    ['192.168.1.20', '192.168.1.20', '192.168.1/24'],
    ['::ffff:192.168.1.20', '192.168.1.20', '192.168.1/24'],
    ['::FFFF:c0a8:0114', '192.168.1.20', '192.168.1/24'],
    ['2001:db8:7:1::5', '2001:db8:7:1::/64', '2001:db8:7::/48'],
    ['2001:0db8:0007:0001:ffff:ffff:ffff:ffff', '2001:db8:7:1::/64', '2001:db8:7::/48'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64', 'fe80:0:0::/48'],
    ['::1', '0:0:0:0::/64', '0:0:0::/48'],
    ['64:ff9b::192.0.2.33', '64:ff9b:0:0::/64', '64:ff9b:0::/48'],
    ['', '', '/24'],
  ])('%s', (address, block, wide) => {
    expect([addressBlock(address), wideAddressBlock(address)]).toEqual([block, wide]);
  });

  it('is the same for all addresses of a /64, and another for the next /64', () => {
    const random = Array.from({ length: 40 }, (_, i) => `2001:db8:0:7:${i}:${i * 7}:abcd:${i * 31}`);
    expect(new Set(random.map(addressBlock)).size).toBe(1);
    expect(addressBlock('2001:db8:0:8::1')).not.toBe(addressBlock(random[0] ?? ''));
  });
});

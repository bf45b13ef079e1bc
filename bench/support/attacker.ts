// A client that means harm, in a process of its own. Says so when it has begun, and goes on until it is ended. Arguments:
// URL ATTACK
import { LARGE_ATTACKS, SMALL_ATTACKS } from './attacks.ts';

const [, , url = '', name = ''] = process.argv;
const attack = { ...SMALL_ATTACKS, ...LARGE_ATTACKS }[name];
if (attack === undefined) throw new Error(`There is no attack '${name}'.`);
// Whatever is done to it, it goes on.
process.on('uncaughtException', () => undefined);
await attack(new URL(url));
process.send?.('begun');
setInterval(() => undefined, 60_000);

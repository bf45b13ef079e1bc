// Runs one attack until this process is killed. Sends its parent a message when the attack has begun. Arguments: URL ATTACK
import { LARGE_ATTACKS, SMALL_ATTACKS } from './attacks.ts';

const [, , url = '', name = ''] = process.argv;
const attack = { ...SMALL_ATTACKS, ...LARGE_ATTACKS }[name];
if (attack === undefined) throw new Error(`There is no attack '${name}'.`);
// The attack continues after any error.
process.on('uncaughtException', () => undefined);
await attack(new URL(url));
process.send?.('begun');
setInterval(() => undefined, 60_000);

import { Purpose } from '../../random/stream.ts';
import { threefry2x32 } from '../../random/threefry.ts';
import { fillDropoutMask, type MaskKey } from './dropout-masks.ts';

/**
 * Distribution of a layer's random numbers: a number is the rate of a dropout mask; 'uniform' numbers are in [0, 1), 'normal'
 * ones have mean 0 and deviation 1.
 */
export type Draw = number | 'uniform' | 'normal';

/**
 * Fills values that depend only on (seed, step, sample, layer), so that every worker and engine computes the same for a sample.
 *
 * Dropout masks: see fillDropoutMask(). The others use the same subkey and blocks, with one word for each element: element e of
 * a sample has word w = e % 2 of block floor(e / 2). A uniform number is floor(w / 256) / 2^24; a normal one is the inverse of
 * the normal distribution's function at (w + 1/2) / 2^32. All are then rounded to float32; uniform ones are exact.
 *
 * @param sampleNumbers [samples]
 * @param size elements of one sample
 * @param values receives [samples, size]
 */
export function fillRandomValues(
  values: Float32Array,
  key: MaskKey,
  sampleNumbers: Uint32Array,
  layer: number,
  size: number,
  draw: Draw,
): void {
  if (typeof draw === 'number') {
    fillDropoutMask(values, key, sampleNumbers, layer, size, draw);
    return;
  }
  const valueOf = draw === 'uniform' ? uniformOf : normalOf;
  const subkey = new Uint32Array(2);
  const words = new Uint32Array(2);
  let at = 0;
  for (const sample of sampleNumbers) {
    threefry2x32(key.seed, Purpose.dropout, key.step, sample, subkey);
    const [key0 = 0, key1 = 0] = subkey;
    const end = at + size;
    for (let block = 0; at < end; block++) {
      threefry2x32(key0, key1, block, layer, words);
      for (let i = 0; i < 2 && at < end; i++) values[at++] = valueOf(words[i] ?? 0);
    }
  }
}

const uniformOf = (word: number): number => (word >>> 8) / 2 ** 24;

const normalOf = (word: number): number => inverseNormal((word + 0.5) / 2 ** 32);

/** Coefficients of a quotient of two polynomials, the highest power first. */
interface Quotient {
  readonly numerator: readonly number[];
  readonly denominator: readonly number[];
}

const CENTER: Quotient = {
  numerator: [
    2509.0809287301227, 33430.57558358813, 67265.7709270087, 45921.95393154987, 13731.69376550946,
    1971.5909503065513, 133.14166789178438, 3.3871328727963665,
  ],
  denominator: [
    5226.495278852854, 28729.085735721943, 39307.89580009271, 21213.794301586597, 5394.196021424751,
    687.1870074920579, 42.31333070160091, 1,
  ],
};
const SIDES: Quotient = {
  numerator: [
    0.0007745450142783414, 0.022723844989269184, 0.2417807251774506, 1.2704582524523684, 3.6478483247632045,
    5.769497221460691, 4.630337846156546, 1.4234371107496835,
  ],
  denominator: [
    1.0507500716444169e-9, 0.0005475938084995345, 0.015198666563616457, 0.14810397642748008, 0.6897673349851,
    1.6763848301838038, 2.053191626637759, 1,
  ],
};
const TAILS: Quotient = {
  numerator: [
    2.0103343992922881e-7, 2.7115555687434876e-5, 0.0012426609473880784, 0.026532189526576124,
    0.29656057182850487, 1.7848265399172913, 5.463784911164114, 6.657904643501103,
  ],
  denominator: [
    2.0442631033899397e-15, 1.421511758316446e-7, 1.8463183175100548e-5, 0.0007868691311456133,
    0.014875361290850615, 0.1369298809227358, 0.599832206555888, 1,
  ],
};

const polynomial = (coefficients: readonly number[], x: number): number => {
  let value = 0;
  for (const coefficient of coefficients) value = value * x + coefficient;
  return value;
};

const quotient = ({ numerator, denominator }: Quotient, x: number): number =>
  polynomial(numerator, x) / polynomial(denominator, x);

/**
 * Number below which a standard normal variable is with probability p. Source: Wichura, "Algorithm AS 241: The percentage points
 * of the normal distribution" (Applied Statistics 37, 1988), PPND16, with a relative error of about 1e-16.
 * @param p in (0, 1)
 */
export function inverseNormal(p: number): number {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) return q * quotient(CENTER, 0.180625 - q * q);
  const r = Math.sqrt(-Math.log(q < 0 ? p : 1 - p));
  const value = r <= 5 ? quotient(SIDES, r - 1.6) : quotient(TAILS, r - 5);
  return q < 0 ? -value : value;
}

import { Purpose } from '../random/stream.ts';
import { threefry2x32 } from '../random/threefry.ts';

/** What the masks of one step are keyed by. */
export interface MaskKey {
  readonly seed: number;
  readonly step: number;
}

/**
 * Dropout masks that depend on nothing but (seed, step, sample, layer), so that they are the same whoever computes
 * the sample and whatever it is computed with.
 *
 * For each sample, subkey = threefry2x32([seed, Purpose.dropout], [step, sample]). Block i of layer l is
 * threefry2x32(subkey, [i, l]): eight bytes, word 0 before word 1, low byte first; byte e % 8 of block floor(e / 8)
 * decides element e of the sample's activation (row-major). An element is kept if its byte is at least
 * t = round(256 * rate), and scaled by 256 / (256 - t), so that the expectation is exact whatever the rounding.
 *
 * @param sampleNumbers [samples]
 * @param size elements of the layer's activation for one sample
 * @param mask receives [samples, size]: 0 or the scale
 */
export function fillDropoutMask(
  mask: Float32Array,
  key: MaskKey,
  sampleNumbers: Uint32Array,
  layer: number,
  size: number,
  rate: number,
): void {
  const threshold = Math.min(255, Math.round(256 * rate));
  const scale = 256 / (256 - threshold);
  const words = new Uint32Array(2);
  const subkey = new Uint32Array(2);
  let at = 0;
  for (const sample of sampleNumbers) {
    threefry2x32(key.seed, Purpose.dropout, key.step, sample, subkey);
    const key0 = subkey[0] as number;
    const key1 = subkey[1] as number;
    const end = at + size;
    for (let block = 0; at < end; block++) {
      threefry2x32(key0, key1, block, layer, words);
      let low = words[0] as number;
      let high = words[1] as number;
      if (at + 8 <= end) {
        // Written out: it runs 75,000 times a step.
        mask[at] = (low & 255) < threshold ? 0 : scale;
        mask[at + 1] = ((low >>> 8) & 255) < threshold ? 0 : scale;
        mask[at + 2] = ((low >>> 16) & 255) < threshold ? 0 : scale;
        mask[at + 3] = low >>> 24 < threshold ? 0 : scale;
        mask[at + 4] = (high & 255) < threshold ? 0 : scale;
        mask[at + 5] = ((high >>> 8) & 255) < threshold ? 0 : scale;
        mask[at + 6] = ((high >>> 16) & 255) < threshold ? 0 : scale;
        mask[at + 7] = high >>> 24 < threshold ? 0 : scale;
        at += 8;
      } else {
        for (let byte = 0; at < end; byte++) {
          mask[at++] = (low & 255) < threshold ? 0 : scale;
          low >>>= 8;
          if (byte === 3) [low, high] = [high, 0];
        }
      }
    }
  }
}

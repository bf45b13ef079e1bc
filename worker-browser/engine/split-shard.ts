import type { Shard } from '../../shared/data/shard.ts';

/**
 * A shard in at most `parts` parts of nearly equal size, in order. The parts are copies: a Web Worker is sent the whole
 * memory behind a view.
 */
export function splitShard({ images, labels, sampleNumbers }: Shard, parts: number): Shard[] {
  const samples = labels.length;
  const count = Math.max(1, Math.min(parts, samples));
  const sampleBytes = samples === 0 ? 0 : images.length / samples;
  return Array.from({ length: count }, (_, i) => {
    const from = Math.floor((samples * i) / count);
    const to = Math.floor((samples * (i + 1)) / count);
    return {
      images: images.slice(from * sampleBytes, to * sampleBytes),
      labels: labels.slice(from, to),
      sampleNumbers: sampleNumbers.slice(from, to),
    };
  });
}

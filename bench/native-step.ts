// Compares a gradient step of the default CNN on native TensorFlow: stock tfjs-node, op by op with TensorFlow's own gradient
// ops, and as a captured graph. Medians of alternating blocks. Each variant has a process of its own, since registered
// gradients cannot be removed. Arguments: [steps = 30] [batch = 128,64]
import { forkEntry, nextMessage } from './support/children.ts';
import type { VariantTimes } from './support/native-variant.ts';
import { median, spread } from './support/statistics.ts';

const [, , stepsText = '30', batchText = '128,64'] = process.argv;
const WARM_UP = 6;
/** Consecutive steps of each kind, so that the caches are warm. */
const BLOCK = 3;
const KINDS = ['stock', 'eager', 'captured'] as const;

for (const batch of batchText.split(',')) {
  const entries = KINDS.map((kind) => ({
    kind,
    child: forkEntry('native-variant', [kind, batch]),
    times: [] as number[],
  }));
  for (const { child } of entries) await nextMessage(child);
  for (let done = -WARM_UP; done < Number(stepsText); done += BLOCK) {
    for (const { child, times } of entries) {
      const answer = nextMessage<VariantTimes>(child);
      child.send(BLOCK);
      const { stepMs } = await answer;
      if (done >= 0) times.push(...stepMs);
    }
  }
  const [stock, eager, captured] = entries.map(({ times }) => median(times)) as [number, number, number];
  console.log(
    `ratio ${(captured / stock).toFixed(3)}: captured / stock tfjs-node, batch ${batch}` +
      ` (${(captured / eager).toFixed(3)}: captured / op by op with better gradients)`,
  );
  for (const { kind, times, child } of entries) {
    console.log(`${kind}: ${spread(times)} ms`);
    child.kill();
  }
}

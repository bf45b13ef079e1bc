import type { Engine } from '../../shared/engine/engine.ts';
import { createModelStep } from '../../shared/engine/model-step.ts';
import type { Native } from '../../worker-node/engine/native/backend.ts';
import { createCapturedGradientComputer } from '../../worker-node/engine/native/captured-gradient-computer.ts';
import { registerNativeGradients } from '../../worker-node/engine/native/gradients.ts';

/** Native engine that captures its graphs when it is told to, not in a pause. */
export interface CapturedEngine {
  readonly engine: Engine;
  /** Reasons why a graph was not captured. */
  readonly notes: readonly string[];
  /** Captures the graphs of the sizes computed so far. */
  readonly capture: () => void;
}

/** Opens native TensorFlow, which computes the first shard of a size op by op and later ones as a captured graph. */
export function openCapturedEngine(native: Native): CapturedEngine {
  const { tf, backend } = native;
  registerNativeGradients(tf, backend);
  const notes: string[] = [];
  const waiting: (() => void)[] = [];
  const idle = { schedule: (task: () => void) => void waiting.push(task), recordAnswer: () => undefined };
  const capture = { idle, note: (line: string) => void notes.push(line) };
  return {
    engine: {
      info: { backend: 'tensorflow', version: tf.version.tfjs, device: 'CPU', threads: 1 },
      async load(job) {
        // Preparing a job activates another backend.
        await tf.setBackend('tensorflow');
        return createCapturedGradientComputer(native, job, await createModelStep(tf, job), capture);
      },
    },
    notes,
    capture() {
      for (const task of waiting.splice(0)) task();
    },
  };
}

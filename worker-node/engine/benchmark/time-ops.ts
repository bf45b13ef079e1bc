import type { NamedTensorInfoMap } from '@tensorflow/tfjs';
import type { TF } from '../../../shared/util/tf.ts';
import type { Binding, NativeBackend } from '../native/backend.ts';
import { formatShape, type OpTimer } from './op-timer.ts';

/**
 * Times every op that tfjs-node's addon executes. On a CPU the addon waits for an op to end; on a GPU only the start of an op
 * is timed.
 * @returns a function that ends the timing
 */
export function timeNativeOps(backend: NativeBackend, clock: OpTimer): () => void {
  const { binding } = backend;
  const shapes = new Map<number, readonly number[]>();
  const createTensor: Binding['createTensor'] = (shape, dtype, values) => {
    const id = clock.time('(values uploaded)', () => formatShape(shape), () => binding.createTensor(shape, dtype, values)); // prettier-ignore
    shapes.set(id, shape);
    return id;
  };
  const executeOp: Binding['executeOp'] = (op, attributes, inputs, outputs) => {
    const text = (): string => inputs.map((id) => formatShape(shapes.get(id) ?? [])).join(' ');
    const handles = clock.time(op, text, () => binding.executeOp(op, attributes, inputs, outputs));
    for (const { id, shape } of handles) shapes.set(id, shape);
    return handles;
  };
  const tensorDataSync: Binding['tensorDataSync'] = (id) =>
    clock.time('(values read back)', () => formatShape(shapes.get(id) ?? []), () => binding.tensorDataSync(id)); // prettier-ignore
  const runSavedModel: Binding['runSavedModel'] = (id, inputs, inputNames, outputNames) => {
    const run = (): ReturnType<Binding['runSavedModel']> =>
      binding.runSavedModel(id, inputs, inputNames, outputNames);
    const handles = clock.time('(captured graph)', () => '', run);
    for (const handle of handles) shapes.set(handle.id, handle.shape);
    return handles;
  };
  // Defined by descriptors, because assigning to the addon's read-only properties fails.
  backend.binding = Object.create(binding, {
    createTensor: { value: createTensor },
    executeOp: { value: executeOp },
    tensorDataSync: { value: tensorDataSync },
    runSavedModel: { value: runSavedModel },
  }) as Binding;
  return () => {
    backend.binding = binding;
  };
}

/**
 * Times every kernel of a tfjs backend that computes before it returns.
 * @returns a function that ends the timing
 */
export function timeKernels(tf: TF, backendName: string, clock: OpTimer): () => void {
  const kernels = tf.getKernelsForBackend(backendName);
  const replaceAll = (replacements: typeof kernels): void => {
    for (const kernel of replacements) {
      tf.unregisterKernel(kernel.kernelName, backendName);
      tf.registerKernel(kernel);
    }
  };
  replaceAll(
    kernels.map((kernel) => ({
      ...kernel,
      kernelFunc: (call) => clock.time(kernel.kernelName, () => formatShapes(call.inputs), () => kernel.kernelFunc(call)), // prettier-ignore
    })),
  );
  return () => replaceAll(kernels);
}

const formatShapes = (inputs: NamedTensorInfoMap): string =>
  Object.values(inputs)
    .filter((input) => input !== undefined)
    .map(({ shape }) => formatShape(shape))
    .join(' ');

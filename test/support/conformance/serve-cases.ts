import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../../shared/engine/engine.ts';
import { openNativeEngine } from '../../../worker-node/engine/native/open-native.ts';
import { openWebGpuEngine } from '../../../worker-node/engine/webgpu/open-webgpu.ts';
import { openWasmEngine } from '../../../worker-node/engine/open/open-wasm.ts';
import { measureCase, type CaseResult, type StepCase } from './measure-case.ts';

/** Description of an engine, or the reason why this machine has none. */
export type EngineStatus = { readonly info: Engine['info'] } | { readonly missing: string };

export type CaseAnswer = CaseResult | { readonly failed: string };

interface OpenedEngine {
  readonly info: Engine['info'];
  measure(each: StepCase): Promise<CaseResult>;
}

/** The first computation of a size runs op by op; the second is a captured graph. The larger difference counts. */
async function openNative(): Promise<OpenedEngine | { readonly missing: string }> {
  const waiting: (() => void)[] = [];
  const idle = { schedule: (task: () => void) => void waiting.push(task), recordAnswer: () => undefined };
  const opened = await openNativeEngine({ idle });
  if ('missing' in opened) return opened;
  const { engine, tensorflow } = opened;
  const capture = (): void => {
    for (const task of waiting.splice(0)) task();
  };
  return {
    info: { ...engine.info, version: tensorflow ?? engine.info.version },
    async measure(each) {
      await tf.setBackend('tensorflow');
      const first = await measureCase(tf, engine, each);
      waiting.splice(0);
      const second = await measureCase(tf, engine, each, 2, capture);
      return {
        loss: Math.max(first.loss, second.loss),
        gradient: Math.max(first.gradient, second.gradient),
      };
    },
  };
}

async function openWasm(): Promise<OpenedEngine> {
  const engine = await openWasmEngine();
  return { info: engine.info, measure: (each) => measureCase(tf, engine, each) };
}

async function openWebGpu(): Promise<OpenedEngine | { readonly missing: string }> {
  const opened = await openWebGpuEngine();
  if ('missing' in opened) return opened;
  const { engine, onLost } = opened;
  let problem: string | null = null;
  onLost((reason) => (problem = reason));
  return {
    info: engine.info,
    async measure(each) {
      const result = await measureCase(tf, engine, each);
      if (problem !== null) throw new Error(problem);
      return result;
    },
  };
}

/** Opens an engine in this process and computes the cases that its parent sends. */
export async function serveCases(engine: string): Promise<void> {
  const send = (message: EngineStatus | CaseAnswer): void => void process.send?.(message);
  const opened = await (engine === 'native' ? openNative() : engine === 'webgpu' ? openWebGpu() : openWasm());
  if ('missing' in opened) {
    send({ missing: opened.missing });
    process.disconnect();
    return;
  }
  process.on('message', (each: StepCase) => {
    opened.measure(each).then(send, (error: unknown) => {
      send({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    });
  });
  send({ info: opened.info });
}

import type { GradientComputer } from '../../shared/engine/engine.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import type { Shard } from '../../shared/data/shard.ts';
import type { OpenedBackend } from './backends/opened-backend.ts';
import type { EngineResponses, BackendName, FromEngine, EngineRequest, ToEngine } from './messages.ts';

// One engine in a Web Worker of its own: it can be ended in the middle of a step, and gives all its memory back.
const scope = globalThis as unknown as DedicatedWorkerGlobalScope;
const post = (message: FromEngine, transfer: Transferable[] = []): void =>
  scope.postMessage(message, transfer);

let opened: OpenedBackend | null = null;
let trainer: GradientComputer | null = null;
let prepared: Shard | null = null;
let last: Promise<void> = Promise.resolve();

scope.onmessage = ({ data: message }: MessageEvent<ToEngine>) => {
  last = last
    .then(() => handle(message))
    .catch((error: unknown) => post({ type: 'lost', reason: errorMessage(error) }));
};

async function handle(message: ToEngine): Promise<void> {
  switch (message.type) {
    case 'weights':
      trainer?.setWeights(message.values, message.from);
      return;
    case 'prepare':
      prepared = message.shard;
      trainer?.prepare(message.step, message.shard);
      return;
    case 'dispose':
      trainer?.dispose();
      trainer = null;
      return;
    case 'question':
      try {
        const answer = await answerTo(message.question);
        const transfer = message.question.type === 'gradient' ? [message.question.room.buffer] : [];
        post({ type: 'answer', id: message.id, answer }, transfer);
      } catch (error) {
        post({ type: 'failed', id: message.id, reason: errorMessage(error) });
      }
  }
}

async function answerTo(question: EngineRequest): Promise<EngineResponses[keyof EngineResponses]> {
  if (question.type === 'open') {
    opened = await open(question.backend);
    opened.onLost((reason) => post({ type: 'lost', reason }));
    return opened.engine.info;
  }
  if (question.type === 'load') {
    trainer?.dispose();
    trainer = null;
    trainer = (await opened?.engine.load(question.job)) ?? null;
    return null;
  }
  if (trainer === null) throw new Error('No job was loaded.');
  switch (question.type) {
    case 'gradient': {
      const { step, room } = question;
      const shard = question.shard ?? prepared;
      if (shard === null) throw new Error('No shard was prepared.');
      return { ...(await trainer.gradient(step, shard, room)), room };
    }
    case 'evaluate':
      return trainer.evaluate(question.shard);
    case 'predict':
      return trainer.predict(question.images, question.samples);
  }
}

async function open(backend: BackendName): Promise<OpenedBackend> {
  switch (backend) {
    case 'wasm':
      return (await import('./backends/wasm.ts')).openWasm();
    case 'webgl':
      return (await import('./backends/webgl.ts')).openWebGl();
    case 'webgpu':
      return (await import('./backends/webgpu.ts')).openWebGpu();
  }
}

import type { Engine } from '../../../shared/engine/engine.ts';

/** Engine on a backend of tfjs in this Web Worker. */
export interface OpenedBackend {
  readonly engine: Engine;
  /** Registers a callback for the loss of the GPU. */
  onLost(callback: (reason: string) => void): void;
}

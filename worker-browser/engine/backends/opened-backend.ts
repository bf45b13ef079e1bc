import type { Engine } from '../../../shared/engine/engine.ts';

/** An engine on a backend of tfjs in this Web Worker. */
export interface OpenedBackend {
  readonly engine: Engine;
  /** Calls back should the backend lose what it computes on. */
  onLost(callback: (reason: string) => void): void;
}

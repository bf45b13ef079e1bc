import type { Engine } from '../../shared/engine/engine.ts';
import type { BackendName } from './messages.ts';

/** An engine that computes, and why it was taken. */
export interface OpenedEngine {
  readonly engine: Engine;
  readonly backend: BackendName;
  readonly why: string;
  /** Settles with the reason when it can compute no more. */
  readonly lost: Promise<string>;
  close(): void;
}

import type { CurvePoint } from './messages.ts';

/** One point of a curve in place of two that follow each other. Steps have the same number of samples, but for an epoch's last. */
export function mergePoints(a: CurvePoint, b: CurvePoint): CurvePoint {
  const steps = a.steps + b.steps;
  const mean = (x: number, y: number): number => (x * a.steps + y * b.steps) / steps;
  return { step: b.step, steps, loss: mean(a.loss, b.loss), accuracy: mean(a.accuracy, b.accuracy) };
}

import type { CurvePoint } from './messages.ts';

/**
 * Merges two consecutive points of a curve. Weights them by steps, since all steps of an epoch but the last have the same
 * number of samples.
 */
export function mergePoints(a: CurvePoint, b: CurvePoint): CurvePoint {
  const steps = a.steps + b.steps;
  const mean = (x: number, y: number): number => (x * a.steps + y * b.steps) / steps;
  const metrics = Object.fromEntries(
    Object.entries(b.metrics).map(([name, value]) => [name, mean(a.metrics[name] ?? value, value)]),
  );
  return { step: b.step, steps, loss: mean(a.loss, b.loss), metrics };
}

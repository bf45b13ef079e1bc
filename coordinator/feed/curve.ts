import { mergePoints } from '../../shared/protocol/mean-point.ts';
import type { CurvePoint } from '../../shared/protocol/messages.ts';

/**
 * Loss and accuracy over the steps of a run, in so few points that they can be sent to anybody who asks: when there are
 * too many, neighbours are merged and from then on a point stands for twice as many steps.
 */
export class TrainingCurve {
  readonly #maxPoints: number;
  #points: CurvePoint[] = [];
  #currentPoint: { samples: number; lossSum: number; correct: number; steps: number } | null = null;
  #stepsPerPoint = 1;

  /** @param most points to keep, an even number */
  constructor(most: number) {
    this.#maxPoints = most;
  }

  get points(): readonly CurvePoint[] {
    return this.#points;
  }

  /**
   * @param step from 1, counted over the whole run
   * @returns the point that this step has completed, if it has
   */
  add(step: number, samples: number, lossSum: number, correct: number): CurvePoint | null {
    const open = this.#currentPoint ?? { samples: 0, lossSum: 0, correct: 0, steps: 0 };
    this.#currentPoint = open;
    open.samples += samples;
    open.lossSum += lossSum;
    open.correct += correct;
    open.steps++;
    if (open.steps < this.#stepsPerPoint) return null;
    const { steps } = open;
    const point = { step, steps, loss: open.lossSum / open.samples, accuracy: open.correct / open.samples };
    this.#currentPoint = null;
    this.#points.push(point);
    if (this.#points.length >= this.#maxPoints) this.#merge();
    return point;
  }

  #merge(): void {
    this.#stepsPerPoint *= 2;
    this.#points = Array.from({ length: Math.floor(this.#points.length / 2) }, (_, i) =>
      mergePoints(this.#points[2 * i] as CurvePoint, this.#points[2 * i + 1] as CurvePoint),
    );
  }
}

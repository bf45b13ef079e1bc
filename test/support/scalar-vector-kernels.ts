export interface AdadeltaSettings {
  readonly samples: number;
  readonly learningRate: number;
  readonly rho: number;
  readonly epsilon: number;
}

/** Some passes of the optimizer's kernels, as functions of their vectors. */
export interface ReferencePasses {
  finiteNorm(values: Float32Array): number | null;
  addInto(total: Float32Array, part: Float32Array): void;
  adadelta(
    weights: Float32Array,
    gradientSum: Float32Array,
    meanSquareGradient: Float32Array,
    meanSquareUpdate: Float32Array,
    settings: AdadeltaSettings,
  ): void;
}

/** Reference implementation of passes in coordinator/optimizer/kernels, with the same roundings. */
export const scalarKernels: ReferencePasses = {
  finiteNorm(values) {
    let sum = 0;
    for (const value of values) {
      if (!Number.isFinite(value)) return null;
      sum += value * value;
    }
    return Math.sqrt(sum);
  },

  addInto(total, part) {
    for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (part[i] as number);
  },

  adadelta(weights, gradientSum, meanSquareGradient, meanSquareUpdate, settings) {
    const f = Math.fround;
    const samples = f(settings.samples);
    const rate = f(settings.learningRate);
    const rho = f(settings.rho);
    const fresh = f(1 - settings.rho);
    const epsilon = f(settings.epsilon);
    for (let i = 0; i < weights.length; i++) {
      const g = f((gradientSum[i] as number) / samples);
      const a = f(f(rho * (meanSquareGradient[i] as number)) + f(fresh * f(g * g)));
      const d = meanSquareUpdate[i] as number;
      const u = f(f(g * f(Math.sqrt(f(d + epsilon)))) / f(Math.sqrt(f(a + epsilon))));
      meanSquareGradient[i] = a;
      meanSquareUpdate[i] = f(f(rho * d) + f(fresh * f(u * u)));
      weights[i] = (weights[i] as number) - f(rate * u);
    }
  },
};

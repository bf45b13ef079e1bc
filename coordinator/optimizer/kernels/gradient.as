// Passes around an update: the mean gradient, its penalties and clips, weight decay, and the average of the weights. The changed
// vector comes first, then those that are read.

/** total = sum / samples */
export function mean(total: usize, sum: usize, n: i32, samples: f32): void {
  const samples4 = f32x4.splat(samples);
  const end = total + (<usize>n << 2);
  for (; total < end; total += 16, sum += 16) v128.store(total, f32x4.div(v128.load(sum), samples4));
}

/** gradient = (gradient + accumulated) / steps */
export function meanOfSteps(gradient: usize, accumulated: usize, n: i32, steps: f32): void {
  const steps4 = f32x4.splat(steps);
  const end = gradient + (<usize>n << 2);
  for (; gradient < end; gradient += 16, accumulated += 16) {
    v128.store(gradient, f32x4.div(f32x4.add(v128.load(gradient), v128.load(accumulated)), steps4));
  }
}

/** gradient += l1 sign(w) + l2 (2 w) */
export function penalize(gradient: usize, weights: usize, n: i32, l1: f32, l2: f32): void {
  const l1x4 = f32x4.splat(l1);
  const l2x4 = f32x4.splat(l2);
  const end = gradient + (<usize>n << 2);
  for (; gradient < end; gradient += 16, weights += 16) {
    const w = v128.load(weights);
    const slope = f32x4.add(f32x4.mul(l1x4, sign(w)), f32x4.mul(l2x4, f32x4.add(w, w)));
    v128.store(gradient, f32x4.add(v128.load(gradient), slope));
  }
}

/** x = x factor / divisor */
export function scale(x: usize, n: i32, factor: f32, divisor: f32): void {
  const factor4 = f32x4.splat(factor);
  const divisor4 = f32x4.splat(divisor);
  const end = x + (<usize>n << 2);
  for (; x < end; x += 16) v128.store(x, f32x4.div(f32x4.mul(v128.load(x), factor4), divisor4));
}

/** x = min(max(x, -limit), limit) */
export function clip(x: usize, n: i32, limit: f32): void {
  const upper = f32x4.splat(limit);
  const lower = f32x4.splat(-limit);
  const end = x + (<usize>n << 2);
  for (; x < end; x += 16) v128.store(x, f32x4.min(f32x4.max(v128.load(x), lower), upper));
}

/** w = w - (w decay) learningRate */
export function decay(weights: usize, n: i32, weightDecay: f32, learningRate: f32): void {
  const decay4 = f32x4.splat(weightDecay);
  const rate4 = f32x4.splat(learningRate);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16) {
    const w = v128.load(weights);
    v128.store(weights, f32x4.sub(w, f32x4.mul(f32x4.mul(w, decay4), rate4)));
  }
}

/** average = momentum average + fresh w */
export function average(averages: usize, weights: usize, n: i32, momentum: f32, fresh: f32): void {
  const momentum4 = f32x4.splat(momentum);
  const fresh4 = f32x4.splat(fresh);
  const end = averages + (<usize>n << 2);
  for (; averages < end; averages += 16, weights += 16) {
    const kept = f32x4.mul(momentum4, v128.load(averages));
    v128.store(averages, f32x4.add(kept, f32x4.mul(fresh4, v128.load(weights))));
  }
}

/** -1, 0 or 1 for each value. */
@inline
function sign(x: v128): v128 {
  const zero = f32x4.splat(0);
  const magnitude = v128.and(f32x4.ne(x, zero), f32x4.splat(1));
  return v128.or(magnitude, v128.and(x, i32x4.splat(0x80000000)));
}

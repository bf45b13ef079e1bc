// The arithmetic of the optimizers, in Keras' order; see the .ts file of each for its formula. The changed vectors come first, then
// the gradient's sum over `samples` samples.

export function adadelta(
  weights: usize,
  meanSquareGradient: usize,
  meanSquareUpdate: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  learningRate: f32,
  rho: f32,
  fresh: f32,
  epsilon: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const rate4 = f32x4.splat(learningRate);
  const rho4 = f32x4.splat(rho);
  const fresh4 = f32x4.splat(fresh);
  const epsilon4 = f32x4.splat(epsilon);
  const end = weights + (<usize>n << 2);
  while (weights < end) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const a = f32x4.add(f32x4.mul(rho4, v128.load(meanSquareGradient)), f32x4.mul(fresh4, f32x4.mul(g, g)));
    const d = v128.load(meanSquareUpdate);
    const u = f32x4.div(f32x4.mul(g, f32x4.sqrt(f32x4.add(d, epsilon4))), f32x4.sqrt(f32x4.add(a, epsilon4)));
    v128.store(meanSquareGradient, a);
    v128.store(meanSquareUpdate, f32x4.add(f32x4.mul(rho4, d), f32x4.mul(fresh4, f32x4.mul(u, u))));
    v128.store(weights, f32x4.sub(v128.load(weights), f32x4.mul(rate4, u)));
    weights += 16;
    gradientSum += 16;
    meanSquareGradient += 16;
    meanSquareUpdate += 16;
  }
}

export function sgd(weights: usize, gradientSum: usize, n: i32, samples: f32, learningRate: f32): void {
  const samples4 = f32x4.splat(samples);
  const rate4 = f32x4.splat(learningRate);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    v128.store(weights, f32x4.sub(v128.load(weights), f32x4.mul(g, rate4)));
  }
}

export function sgdMomentum(
  weights: usize,
  momenta: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  learningRate: f32,
  momentum: f32,
  nesterov: bool,
): void {
  const samples4 = f32x4.splat(samples);
  const rate4 = f32x4.splat(learningRate);
  const momentum4 = f32x4.splat(momentum);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, momenta += 16, gradientSum += 16) {
    const step = f32x4.mul(f32x4.div(v128.load(gradientSum), samples4), rate4);
    const m = f32x4.sub(f32x4.mul(v128.load(momenta), momentum4), step);
    v128.store(momenta, m);
    const update = nesterov ? f32x4.sub(f32x4.mul(m, momentum4), step) : m;
    v128.store(weights, f32x4.add(v128.load(weights), update));
  }
}

/** @param alpha the learning rate, corrected for the bias of both averages */
export function adam(
  weights: usize,
  momenta: usize,
  velocities: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  alpha: f32,
  fresh1: f32,
  fresh2: f32,
  epsilon: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const alpha4 = f32x4.splat(alpha);
  const fresh14 = f32x4.splat(fresh1);
  const fresh24 = f32x4.splat(fresh2);
  const epsilon4 = f32x4.splat(epsilon);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, momenta += 16, velocities += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const m = approach(momenta, g, fresh14);
    const v = approach(velocities, f32x4.mul(g, g), fresh24);
    const update = f32x4.div(f32x4.mul(m, alpha4), f32x4.add(f32x4.sqrt(v), epsilon4));
    v128.store(weights, f32x4.sub(v128.load(weights), update));
  }
}

export function adamAmsgrad(
  weights: usize,
  momenta: usize,
  velocities: usize,
  maxVelocities: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  alpha: f32,
  fresh1: f32,
  fresh2: f32,
  epsilon: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const alpha4 = f32x4.splat(alpha);
  const fresh14 = f32x4.splat(fresh1);
  const fresh24 = f32x4.splat(fresh2);
  const epsilon4 = f32x4.splat(epsilon);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, momenta += 16, velocities += 16, maxVelocities += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const m = approach(momenta, g, fresh14);
    const v = approach(velocities, f32x4.mul(g, g), fresh24);
    const top = f32x4.max(v128.load(maxVelocities), v);
    v128.store(maxVelocities, top);
    const update = f32x4.div(f32x4.mul(m, alpha4), f32x4.add(f32x4.sqrt(top), epsilon4));
    v128.store(weights, f32x4.sub(v128.load(weights), update));
  }
}

export function rmsprop(
  weights: usize,
  velocities: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  learningRate: f32,
  rho: f32,
  fresh: f32,
  epsilon: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const rate4 = f32x4.splat(learningRate);
  const rho4 = f32x4.splat(rho);
  const fresh4 = f32x4.splat(fresh);
  const epsilon4 = f32x4.splat(epsilon);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, velocities += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const v = mix(velocities, rho4, f32x4.mul(g, g), fresh4);
    const update = f32x4.div(f32x4.mul(rate4, g), f32x4.sqrt(f32x4.add(v, epsilon4)));
    v128.store(weights, f32x4.sub(v128.load(weights), update));
  }
}

export function rmspropMomentum(
  weights: usize,
  velocities: usize,
  momenta: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  learningRate: f32,
  rho: f32,
  fresh: f32,
  epsilon: f32,
  momentum: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const rate4 = f32x4.splat(learningRate);
  const rho4 = f32x4.splat(rho);
  const fresh4 = f32x4.splat(fresh);
  const epsilon4 = f32x4.splat(epsilon);
  const momentum4 = f32x4.splat(momentum);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, velocities += 16, momenta += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const v = mix(velocities, rho4, f32x4.mul(g, g), fresh4);
    const step = f32x4.div(f32x4.mul(rate4, g), f32x4.sqrt(f32x4.add(v, epsilon4)));
    const m = f32x4.add(f32x4.mul(momentum4, v128.load(momenta)), step);
    v128.store(momenta, m);
    v128.store(weights, f32x4.sub(v128.load(weights), m));
  }
}

/** @param momenta ignored, and may be the weights, if the momentum is 0 */
export function rmspropCentered(
  weights: usize,
  velocities: usize,
  averages: usize,
  momenta: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  learningRate: f32,
  rho: f32,
  fresh: f32,
  epsilon: f32,
  momentum: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const rate4 = f32x4.splat(learningRate);
  const rho4 = f32x4.splat(rho);
  const fresh4 = f32x4.splat(fresh);
  const epsilon4 = f32x4.splat(epsilon);
  const momentum4 = f32x4.splat(momentum);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, velocities += 16, averages += 16, momenta += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const v = mix(velocities, rho4, f32x4.mul(g, g), fresh4);
    const a = mix(averages, rho4, g, fresh4);
    const variance = f32x4.add(f32x4.sub(v, f32x4.mul(a, a)), epsilon4);
    let update = f32x4.div(f32x4.mul(rate4, g), f32x4.sqrt(variance));
    if (momentum > 0) {
      update = f32x4.add(f32x4.mul(momentum4, v128.load(momenta)), update);
      v128.store(momenta, update);
    }
    v128.store(weights, f32x4.sub(v128.load(weights), update));
  }
}

export function adagrad(
  weights: usize,
  accumulators: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  learningRate: f32,
  epsilon: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const rate4 = f32x4.splat(learningRate);
  const epsilon4 = f32x4.splat(epsilon);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, accumulators += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const a = f32x4.add(v128.load(accumulators), f32x4.mul(g, g));
    v128.store(accumulators, a);
    const update = f32x4.div(f32x4.mul(rate4, g), f32x4.sqrt(f32x4.add(a, epsilon4)));
    v128.store(weights, f32x4.sub(v128.load(weights), update));
  }
}

/**
 * @param nextU factor of the momentum
 * @param nextRest divisor of the momentum
 * @param freshU factor of the gradient
 * @param rest divisor of the gradient
 * @param velocityRest divisor of the velocity
 */
export function nadam(
  weights: usize,
  momenta: usize,
  velocities: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  learningRate: f32,
  fresh1: f32,
  fresh2: f32,
  epsilon: f32,
  nextU: f32,
  nextRest: f32,
  freshU: f32,
  rest: f32,
  velocityRest: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const rate4 = f32x4.splat(learningRate);
  const fresh14 = f32x4.splat(fresh1);
  const fresh24 = f32x4.splat(fresh2);
  const epsilon4 = f32x4.splat(epsilon);
  const nextU4 = f32x4.splat(nextU);
  const nextRest4 = f32x4.splat(nextRest);
  const freshU4 = f32x4.splat(freshU);
  const rest4 = f32x4.splat(rest);
  const velocityRest4 = f32x4.splat(velocityRest);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, momenta += 16, velocities += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const m = approach(momenta, g, fresh14);
    const v = approach(velocities, f32x4.mul(g, g), fresh24);
    const momentum = f32x4.add(
      f32x4.div(f32x4.mul(nextU4, m), nextRest4),
      f32x4.div(f32x4.mul(freshU4, g), rest4),
    );
    const divisor = f32x4.add(f32x4.sqrt(f32x4.div(v, velocityRest4)), epsilon4);
    v128.store(weights, f32x4.sub(v128.load(weights), f32x4.div(f32x4.mul(momentum, rate4), divisor)));
  }
}

export function adamax(
  weights: usize,
  momenta: usize,
  norms: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  learningRate: f32,
  fresh1: f32,
  beta2: f32,
  epsilon: f32,
  rest: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const rate4 = f32x4.splat(learningRate);
  const fresh14 = f32x4.splat(fresh1);
  const beta24 = f32x4.splat(beta2);
  const epsilon4 = f32x4.splat(epsilon);
  const rest4 = f32x4.splat(rest);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, momenta += 16, norms += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const m = approach(momenta, g, fresh14);
    const u = f32x4.max(f32x4.mul(beta24, v128.load(norms)), f32x4.abs(g));
    v128.store(norms, u);
    const update = f32x4.div(f32x4.mul(rate4, m), f32x4.mul(rest4, f32x4.add(u, epsilon4)));
    v128.store(weights, f32x4.sub(v128.load(weights), update));
  }
}

export function lion(
  weights: usize,
  momenta: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  learningRate: f32,
  beta1: f32,
  fresh1: f32,
  beta2: f32,
  fresh2: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const rate4 = f32x4.splat(learningRate);
  const beta14 = f32x4.splat(beta1);
  const fresh14 = f32x4.splat(fresh1);
  const beta24 = f32x4.splat(beta2);
  const fresh24 = f32x4.splat(fresh2);
  const zero = f32x4.splat(0);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, momenta += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const m = v128.load(momenta);
    const direction = f32x4.add(f32x4.mul(m, beta14), f32x4.mul(g, fresh14));
    const signedRate = v128.or(rate4, v128.and(direction, i32x4.splat(0x80000000)));
    const update = v128.and(f32x4.ne(direction, zero), signedRate);
    v128.store(weights, f32x4.sub(v128.load(weights), update));
    v128.store(momenta, f32x4.add(f32x4.mul(m, beta24), f32x4.mul(g, fresh24)));
  }
}

/** The direction of Lamb's update, before it is scaled by the norms. */
export function lambDirection(
  directions: usize,
  momenta: usize,
  velocities: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  fresh1: f32,
  fresh2: f32,
  epsilon: f32,
  rest1: f32,
  rest2: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const fresh14 = f32x4.splat(fresh1);
  const fresh24 = f32x4.splat(fresh2);
  const epsilon4 = f32x4.splat(epsilon);
  const rest14 = f32x4.splat(rest1);
  const rest24 = f32x4.splat(rest2);
  const end = directions + (<usize>n << 2);
  for (; directions < end; directions += 16, momenta += 16, velocities += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const m = approach(momenta, g, fresh14);
    const v = approach(velocities, f32x4.mul(g, g), fresh24);
    const divisor = f32x4.add(f32x4.sqrt(f32x4.div(v, rest24)), epsilon4);
    v128.store(directions, f32x4.div(f32x4.div(m, rest14), divisor));
  }
}

/** The momentum of Muon, and the matrix that is made orthogonal. */
export function muonMomentum(
  matrix: usize,
  momenta: usize,
  gradientSum: usize,
  n: i32,
  samples: f32,
  lost: f32,
  momentum: f32,
  nesterov: bool,
): void {
  const samples4 = f32x4.splat(samples);
  const lost4 = f32x4.splat(lost);
  const momentum4 = f32x4.splat(momentum);
  const end = matrix + (<usize>n << 2);
  for (; matrix < end; matrix += 16, momenta += 16, gradientSum += 16) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const before = v128.load(momenta);
    const m = f32x4.add(before, f32x4.add(g, f32x4.mul(before, lost4)));
    v128.store(momenta, m);
    v128.store(matrix, nesterov ? f32x4.add(g, f32x4.mul(momentum4, m)) : m);
  }
}

/** w = w - ((rate update) factor1) factor2 */
export function subtractScaled(
  weights: usize,
  update: usize,
  n: i32,
  rate: f32,
  factor1: f32,
  factor2: f32,
): void {
  const rate4 = f32x4.splat(rate);
  const factor14 = f32x4.splat(factor1);
  const factor24 = f32x4.splat(factor2);
  const end = weights + (<usize>n << 2);
  for (; weights < end; weights += 16, update += 16) {
    const step = f32x4.mul(f32x4.mul(f32x4.mul(rate4, v128.load(update)), factor14), factor24);
    v128.store(weights, f32x4.sub(v128.load(weights), step));
  }
}

/** Stores and returns kept + (target - kept) fresh. */
@inline
function approach(at: usize, target: v128, fresh: v128): v128 {
  const kept = v128.load(at);
  const next = f32x4.add(kept, f32x4.mul(f32x4.sub(target, kept), fresh));
  v128.store(at, next);
  return next;
}

/** Stores and returns rho kept + fresh target. */
@inline
function mix(at: usize, rho: v128, target: v128, fresh: v128): v128 {
  const next = f32x4.add(f32x4.mul(rho, v128.load(at)), f32x4.mul(fresh, target));
  v128.store(at, next);
  return next;
}

// Engine for models of one layer, dense({ units, activation: 'softmax' }), with the cross-entropy of classes.

/** @type {import('gradcast').Engine} */
export const plainEngine = {
  info: { backend: 'plain', version: '1', device: 'JavaScript', threads: 1 },
  load(job) {
    const [{ size: kernelSize }, { size: units }] = job.layout.map(({ shape }) => ({
      size: shape.reduce((product, side) => product * side, 1),
    }));
    const width = kernelSize / units;
    let weights = new Float32Array(kernelSize + units);

    /** Probabilities of one sample. */
    const forward = (inputs, sample) => {
      const logits = Array.from({ length: units }, (_, unit) => {
        let sum = weights[kernelSize + unit];
        for (let i = 0; i < width; i++) sum += inputs[sample * width + i] * weights[i * units + unit];
        return sum;
      });
      const highest = Math.max(...logits);
      const powers = logits.map((logit) => Math.exp(logit - highest));
      const total = powers.reduce((sum, power) => sum + power);
      return powers.map((power) => power / total);
    };

    /** Sums of loss and correct answers; calls `onSample` with the gradient of the logits. */
    const score = ({ inputs: [inputs], targets: [classes] }, onSample) => {
      const sums = { lossSum: 0, metrics: [0] };
      classes.forEach((label, sample) => {
        const probabilities = forward(inputs, sample);
        sums.lossSum -= Math.log(Math.max(probabilities[label], 1e-7));
        if (probabilities.every((value) => value <= probabilities[label])) sums.metrics[0]++;
        onSample?.(
          sample,
          probabilities.map((value, unit) => value - Number(unit === label)),
        );
      });
      return sums;
    };

    return Promise.resolve({
      setWeights: (next) => void (weights = next),
      async gradient(_step, shard, gradient) {
        gradient.fill(0);
        const [inputs] = shard.inputs;
        return score(shard, (sample, ofLogits) => {
          ofLogits.forEach((value, unit) => {
            for (let i = 0; i < width; i++) gradient[i * units + unit] += value * inputs[sample * width + i];
            gradient[kernelSize + unit] += value;
          });
        });
      },
      prepare: () => undefined,
      evaluate: async (shard) => score(shard),
      predict: async ([inputs], samples) =>
        Float32Array.from(Array.from({ length: samples }, (_, sample) => forward(inputs, sample)).flat()),
      dispose: () => undefined,
    });
  },
};

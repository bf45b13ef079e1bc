import type * as tfjs from '@tensorflow/tfjs';
import { mixes, type OperationCall } from './operation-call.ts';

/** Product of matrices, one of which may be constant. */
export function product(call: OperationCall, left: tfjs.Tensor, right: tfjs.Tensor): tfjs.Tensor {
  const { tf, isConstant } = call;
  const [isLeft = false, isRight = false] = isConstant;
  if (!isLeft && !isRight) {
    if (left.rank !== right.rank || left.rank < 3) throw mixes();
    return tf.matMul(left, right);
  }
  const [x, matrix] = isRight ? [left, right] : [right, left];
  if (matrix.rank !== 2 || x.rank < (isRight ? 2 : 3)) throw new Error('its constant is not a matrix');
  // Matrix times x is the transposed product of x and the transposed matrix.
  const axes = x.shape.map((_, axis) => axis);
  const swapped = [...axes.slice(0, -2), x.rank - 1, x.rank - 2];
  const rows = isRight ? x : tf.transpose(x, swapped);
  const flat = tf.reshape(rows, [-1, rows.shape.at(-1) ?? 1]);
  const multiplied = tf.matMul(flat, matrix, false, !isRight);
  const result = tf.reshape(multiplied, [...rows.shape.slice(0, -1), -1]);
  return isRight ? result : tf.transpose(result, swapped);
}

/** Sum of products along the axes that the equation `ab,bc->ac` names. */
export function einsum(call: OperationCall, left: tfjs.Tensor, right: tfjs.Tensor): tfjs.Tensor {
  const { tf, settings, isConstant } = call;
  const [inputs = '', output = ''] = String(settings.subscripts).replaceAll(' ', '').split('->');
  const parts = inputs.split(',');
  const sample = output.slice(0, 1);
  if (parts.some((part, i) => isConstant[i] !== true && !part.startsWith(sample))) throw mixes();
  if (parts.some((part, i) => isConstant[i] === true && part.includes(sample))) throw mixes();
  if ([...parts, output].some((part) => new Set(part).size < part.length))
    throw new Error('its equation names an axis twice');
  const lengths = new Map<string, number>();
  const operands = [left, right].map((operand, i) => {
    const letters = parts[i] ?? '';
    if (letters.length !== operand.rank) throw new Error('its equation has other axes than its inputs');
    letters.split('').forEach((letter, axis) => lengths.set(letter, operand.shape[axis] as number));
    // Axes that only this operand has are summed before.
    const other = `${parts[1 - i] ?? ''}${output}`;
    const alone = letters.split('').flatMap((letter, axis) => (other.includes(letter) ? [] : [axis]));
    const kept = letters
      .split('')
      .filter((letter) => other.includes(letter))
      .join('');
    return { x: alone.length === 0 ? operand : tf.sum(operand, alone), letters: kept };
  });
  const [a, b] = operands as [(typeof operands)[0], (typeof operands)[0]];
  const select = (letters: string, isWanted: (letter: string) => boolean): string =>
    letters.split('').filter(isWanted).join('');
  const shared = select(a.letters, (letter) => b.letters.includes(letter) && output.includes(letter));
  const summed = select(a.letters, (letter) => b.letters.includes(letter) && !output.includes(letter));
  const rows = select(a.letters, (letter) => !b.letters.includes(letter));
  const columns = select(b.letters, (letter) => !a.letters.includes(letter));
  const size = (letters: string): number =>
    letters.split('').reduce((total, letter) => total * (lengths.get(letter) ?? 1), 1);
  const matrices = ({ x, letters }: typeof a, high: string, wide: string): tfjs.Tensor => {
    const order = (shared + high + wide).split('').map((letter) => letters.indexOf(letter));
    return tf.reshape(tf.transpose(x, order), [size(shared), size(high), size(wide)]);
  };
  const multiplied = tf.matMul(matrices(a, rows, summed), matrices(b, summed, columns));
  const order = shared + rows + columns;
  const split = tf.reshape(
    multiplied,
    order.split('').map((letter) => lengths.get(letter) ?? 1),
  );
  return tf.transpose(
    split,
    output.split('').map((letter) => order.indexOf(letter)),
  );
}

import type { Slice } from '../../shared/model/layout.ts';
import type { OptimizerName, OptimizerSettings } from '../../shared/model/optimizer-settings.ts';
import type { Range } from '../../shared/util/range.ts';

/** Range of the flat vector that has to be applied at once, and the setting that needs it. */
export interface WholeRange extends Range {
  readonly reason: string;
}

const GLOBAL_CLIP = 'the clip by the global norm';
const TENSOR_CLIP = "the clip by each tensor's norm";

/** Rules that update one whole tensor at a time. */
const WHOLE_TENSOR_RULES: ReadonlySet<OptimizerName> = new Set<OptimizerName>(['lamb', 'muon']);

/** Whether a rule updates one whole tensor at a time. */
export const updatesWholeTensors = (name: OptimizerName): boolean => WHOLE_TENSOR_RULES.has(name);

/** The part of an optimizer's settings by which it may need the whole gradient, whatever the model. */
type WholeGradientSettings = Pick<OptimizerSettings, 'name' | 'clipNorm' | 'globalClipNorm'>;

/** Setting that needs more than one value of the gradient at a time, in words; null if there is none. */
export function wholeGradientReason({
  name,
  clipNorm,
  globalClipNorm,
}: WholeGradientSettings): string | null {
  if (globalClipNorm !== undefined) return GLOBAL_CLIP;
  if (clipNorm !== undefined) return TENSOR_CLIP;
  return updatesWholeTensors(name) ? name : null;
}

/** Ranges whose gradient an optimizer needs whole: see docs/decisions/0041-whole-gradients.md. */
export function wholeRanges(settings: OptimizerSettings, slices: readonly Slice[]): readonly WholeRange[] {
  const { name, clipNorm, globalClipNorm, tensorRules = [] } = settings;
  const rangeOf = ({ offset, size }: Slice): Range => ({ from: offset, to: offset + size });
  const trained = slices.filter(({ trainable }) => trainable).map(rangeOf);
  const ranges: WholeRange[] = [];
  if (globalClipNorm !== undefined) {
    const [from, to] = [trained[0]?.from ?? 0, trained.at(-1)?.to ?? 0];
    ranges.push({ from, to, reason: GLOBAL_CLIP });
  }
  if (clipNorm !== undefined) ranges.push(...trained.map((range) => ({ ...range, reason: TENSOR_CLIP })));
  if (updatesWholeTensors(name)) ranges.push(...trained.map((range) => ({ ...range, reason: name })));
  for (const { tensor, constraint, orthogonal } of tensorRules) {
    const slice = slices[tensor];
    if (slice !== undefined && orthogonal !== undefined)
      ranges.push({ ...rangeOf(slice), reason: 'the penalty of vectors that are not orthogonal' });
    if (slice === undefined || constraint === undefined || constraint.name === 'nonNegative') continue;
    ranges.push({ ...rangeOf(slice), reason: `the constraint ${constraint.name}` });
  }
  return ranges;
}

/** First of the ranges that offsets cut; undefined if none is cut. */
export const findCutRange = (
  ranges: readonly WholeRange[],
  offsets: readonly number[],
): WholeRange | undefined =>
  ranges.find(({ from, to }) => offsets.some((offset) => from < offset && offset < to));

import * as v from 'valibot';
import { DATA_FORMATS, IMAGE_FITS } from './data-options.ts';

const names = v.array(v.string());
const side = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** Options of a run's data that its config.json has and that a resumed run needs again. */
export const recordedDataOptions = v.object({
  format: v.optional(v.picklist(DATA_FORMATS)),
  testData: v.optional(v.string()),
  validationSplit: v.optional(v.number()),
  transpose: v.optional(v.boolean()),
  imageSize: v.optional(v.tuple([side, side])),
  channels: v.optional(v.picklist([1, 3, 4])),
  fit: v.optional(v.picklist(IMAGE_FITS)),
  target: v.optional(v.union([v.string(), names])),
  ignore: v.optional(names),
  types: v.optional(v.record(v.string(), v.picklist(['number', 'category']))),
  tokenizer: v.optional(v.string()),
  sequenceLength: v.optional(side),
});
export type RecordedDataOptions = v.InferOutput<typeof recordedDataOptions>;

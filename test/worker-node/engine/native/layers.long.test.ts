import { layerCases } from '../../../support/layer-cases.ts';
import { testLayersOnNative } from '../../../support/native-layers.ts';
import { withNative } from '../../../support/native.ts';

await withNative((native) => testLayersOnNative(native, layerCases));

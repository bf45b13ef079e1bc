import { kinds } from '../../../support/layer-cases.ts';
import { testLayersOnNative } from '../../../support/native-layers.ts';
import { withNative } from '../../../support/native.ts';

// The other cases are in layers.long.test.ts.
await withNative((native) => testLayersOnNative(native, kinds));

/**
 * The part of '@tensorflow/tfjs' that Node programs use: without WebGL, readers of data and converted models. Bundles contain it, since
 * the packages would take 300 MB in each project that installs gradcast.
 */
import { version_core } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops';
import '@tensorflow/tfjs-core/dist/register_all_gradients';
import '@tensorflow/tfjs-backend-cpu';

export * from '@tensorflow/tfjs-core';
export * from '@tensorflow/tfjs-layers';
export const version = { tfjs: version_core };

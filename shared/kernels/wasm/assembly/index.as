export { gemm, gemmScratchBytes } from './gemm';
export { convFilterGradient, convFilterGradientScratchBytes } from './conv-gradient';
export { addBias, reluGradient, sumRows } from './elementwise';
export { maxPoolGradient } from './pool';
export { winogradConv, winogradFilterBytes, winogradFilters, winogradScratchBytes } from './winograd';
export { winogradFilterGradient, winogradFilterGradientScratchBytes } from './winograd-gradient';
export { pooledFilterGradient, pooledInputGradient, pooledScratchBytes } from './pooled';
export { patchConv, patchConvScratchBytes, patchFilterGradient, patchFilterGradientScratchBytes, patchImageBytes } from './patches';
export { roundsOnce } from './multiply-add';
export { winogradFourFilterGradient, winogradFourFilterGradientScratchBytes } from './winograd-four-gradient';
export { addPatches } from './patch-sums';
export { keyedDropout, keyedDropoutScratchBytes } from './dropout';
// Not used outside: what is exported stays a function. Inlined into a long function, V8 spills the sums of its loop.
export { dotSix, outerSix, outerTile } from './tile';
export { biasedSix, packActive } from './patches';
export { addNine, addTaps, inputsUnder } from './pooled';
export { gather } from './pooled-gather';
export { slideGradients, slideSum, slideOutputs } from './slide';

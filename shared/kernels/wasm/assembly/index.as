export { gemm, gemmScratchBytes } from './gemm';
export { conv, convScratchBytes, packTurnedFilters } from './conv';
export { convFilterGradient, convFilterGradientScratchBytes } from './conv-gradient';
export { addRow, reluGradient, sumRows } from './elementwise';
export { maxPoolGradient } from './pool';
export { winogradConv, winogradFilterBytes, winogradFilters, winogradScratchBytes } from './winograd';
export { winogradFilterGradient, winogradFilterGradientScratchBytes } from './winograd-gradient';

export { gemm, gemmScratchBytes } from './gemm';
export {
  conv,
  convFilterGradient,
  convFilterGradientScratchBytes,
  convScratchBytes,
  packFilters,
  packTurnedFilters,
} from './conv';
export { addRow, reluGradient, sumRows } from './elementwise';
export { maxPoolGradient } from './pool';
export { winogradConv, winogradFilterBytes, winogradFilters, winogradScratchBytes } from './winograd';
export { winogradFilterGradient, winogradFilterGradientScratchBytes } from './winograd-gradient';

export { add, allFinite, squares, sumMagnitudes, sumSquares } from './vector';
export { average, clip, decay, mean, meanOfSteps, penalize, scale } from './gradient';
export {
  adadelta,
  adagrad,
  adam,
  adamAmsgrad,
  adamax,
  lambDirection,
  lion,
  muonMomentum,
  nadam,
  rmsprop,
  rmspropCentered,
  rmspropMomentum,
  sgd,
  sgdMomentum,
  subtractScaled,
} from './rules';
export { multiply } from './matrix';

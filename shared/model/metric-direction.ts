/** Metrics of which more is better, with names as Keras and outputs make them: `val_accuracy`, `label_auc`. */
const UP =
  /(^|_)(acc|accuracy|auc|precision|recall|precision_at_recall|recall_at_precision|sensitivity_at_specificity|specificity_at_sensitivity|f1_score|fbeta_score|r2_score|pearson_correlation|concordance_correlation|cosine_similarity|io_u|iou)(_\d+)?$/;
/** Losses and metrics of which less is better. */
const DOWN =
  /(^|_)(loss|error|mae|mse|rmse|msle|mape|crossentropy|cross_entropy|hinge|divergence|poisson|log_?cosh|huber)(_\d+)?$/;

/** Whether smaller or larger values of a score are better; auto knows it for losses and most metrics of Keras. */
export type MonitorMode = 'auto' | 'min' | 'max';

/**
 * Direction in which a score improves.
 * @returns 1 if larger values are better, -1 if smaller ones are, null if the name does not tell
 * @example
 * improvementSign('val_loss', 'auto'); // -1
 * improvementSign('val_sharpness', 'max'); // 1
 */
export function improvementSign(score: string, mode: MonitorMode): 1 | -1 | null {
  if (mode !== 'auto') return mode === 'max' ? 1 : -1;
  if (UP.test(score)) return 1;
  return DOWN.test(score) ? -1 : null;
}

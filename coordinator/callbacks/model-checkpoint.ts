import { join } from 'node:path';
import * as v from 'valibot';
import { errorMessage } from '../../shared/util/error-message.ts';
import type { Callback, CallbackContext, CallbackState, Logs } from './callback.ts';
import { checkCount, Monitor, type MonitorOptions } from './monitor.ts';
import { didYouMean } from '../../shared/util/suggest.ts';

/**
 * Options of {@link modelCheckpoint}.
 * @example
 * const options: ModelCheckpointOptions = { path: 'models/{epoch:02d}-{val_loss:.2f}.keras', monitor: 'val_auc', saveBestOnly: true };
 */
export interface ModelCheckpointOptions extends Omit<MonitorOptions, 'minDelta'> {
  /**
   * Folder, or a file that ends in .keras. `{epoch}`, `{epoch:02d}` and `{val_loss:.4f}` stand for values.
   * @default the folder best in the run's folder with saveBestOnly, else last
   */
  readonly path?: string;
  /** Whether only an epoch that is better than all before is saved. @default false */
  readonly saveBestOnly?: boolean;
  /** Value that the first saved epoch has to improve on. @default none */
  readonly baseline?: number;
  /** Steps after which the model is saved, in place of epochs. @default none */
  readonly everySteps?: number;
}

const stateSchema = v.object({ best: v.nullable(v.number()) });

/**
 * Saves the model after epochs or steps, by the rules of keras 3 callbacks/model_checkpoint.py. A model is replaced at once, so that
 * a crash leaves the earlier or the later one.
 * @throws Error that names an option with a wrong value
 * @example
 * const callbacks = [modelCheckpoint({ path: 'best.keras', monitor: 'val_accuracy', saveBestOnly: true })];
 */
export function modelCheckpoint(options: ModelCheckpointOptions = {}): Callback {
  const { saveBestOnly = false, baseline = null, everySteps } = options;
  if (everySteps !== undefined) checkCount('modelCheckpoint', 'everySteps', everySteps, 1);
  if (everySteps !== undefined && saveBestOnly)
    throw new Error('modelCheckpoint has saveBestOnly or everySteps: only epochs are evaluated.');
  checkPath(options.path);
  const monitor = saveBestOnly ? new Monitor('modelCheckpoint', options) : null;
  let best = baseline;
  let hasFailed = false;

  const save = async (context: CallbackContext): Promise<void> => {
    const ownPath = join(context.runDir ?? '', saveBestOnly ? 'best' : 'last');
    const path = options.path === undefined ? ownPath : expandPath(options.path, context);
    try {
      await context.model.save(path);
      hasFailed = false;
    } catch (error) {
      // A full disk must not end the run; later epochs are saved again.
      if (!hasFailed)
        context.warn(`The model of epoch ${context.epoch} is not saved: ${errorMessage(error)}`);
      hasFailed = true;
    }
  };

  return {
    name: 'modelCheckpoint',
    ...(monitor === null ? {} : { monitor: monitor.name }),
    onTrainBegin({ isResumed }) {
      if (!isResumed) best = baseline;
    },
    async onStepEnd(context) {
      if (everySteps !== undefined && context.step % everySteps === 0) await save(context);
    },
    async onEpochEnd(context) {
      if (everySteps !== undefined) return;
      if (monitor !== null) {
        const value = monitor.valueIn(context.logs);
        if (!monitor.isImprovement(value, best)) return;
        best = value;
      }
      await save(context);
    },
    state: () => ({ best }),
    restore(state: CallbackState) {
      ({ best } = v.parse(stateSchema, state));
    },
  };
}

/** A value in a path, in the notation of Keras: {epoch}, {epoch:02d}, {val_loss:.4f}. */
const FIELD = /\{([^{}:]*)(?::([^{}]*))?\}/g;
const FORMAT = /^(?:0?(\d{1,2})d|\.(\d{1,2})f)?$/;

/** @throws Error that names a format that is not supported */
function checkPath(path = 'last'): void {
  if (path === '') throw new Error('path of modelCheckpoint is empty.');
  for (const [field, , format = ''] of path.matchAll(FIELD)) {
    if (FORMAT.test(format)) continue;
    throw new Error(
      `${field} in the path of modelCheckpoint is not supported. Use {epoch:02d} or {loss:.4f}.`,
    );
  }
}

function expandPath(
  path: string,
  { epoch, step, logs }: Pick<CallbackContext, 'epoch' | 'step'> & { readonly logs: Logs },
): string {
  const values: Logs = { ...logs, epoch, step };
  return path.replace(FIELD, (_, name: string, format = '') => {
    const value = values[name];
    if (value === undefined) {
      throw new Error(
        `The path of modelCheckpoint has {${name}}, which the run does not have.${didYouMean(name, Object.keys(values))} It has ${Object.keys(values).join(', ')}.`,
      );
    }
    const [, width, digits] = FORMAT.exec(format as string) ?? [];
    if (digits !== undefined) return value.toFixed(Number(digits));
    return width === undefined ? String(value) : String(value).padStart(Number(width), '0');
  });
}

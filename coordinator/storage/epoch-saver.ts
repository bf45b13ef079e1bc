import { errorMessage } from '../../shared/error-text.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import type { RunFolder } from './run-folder.ts';

export interface EpochSaverOptions {
  readonly folder: Pick<RunFolder, 'dir' | 'appendHistory'>;
  /** Writes the model as it is after this epoch. */
  readonly saveModel: (record: EpochRecord) => Promise<void>;
  readonly warn: (line: string) => void;
}

/** Writes what each epoch leaves. A disk that is full for a while ends no run: what is missing is made up for later. */
export class EpochSaver {
  readonly #options: EpochSaverOptions;
  readonly #unwritten: EpochRecord[] = [];
  #failure: Error | null = null;

  constructor(options: EpochSaverOptions) {
    this.#options = options;
  }

  /** Never rejects: it warns instead. */
  async save(record: EpochRecord): Promise<void> {
    const { folder, saveModel, warn } = this.#options;
    this.#unwritten.push(record);
    try {
      for (let next = this.#unwritten[0]; next !== undefined; next = this.#unwritten[0]) {
        await folder.appendHistory(next);
        this.#unwritten.shift();
      }
      await saveModel(record);
      this.#failure = null;
    } catch (error) {
      const sentence = `The model of epoch ${record.epoch} is not saved in ${folder.dir}: ${errorMessage(error)}`;
      this.#failure = new Error(sentence, { cause: error });
      warn(sentence);
    }
  }

  /** @throws Error with a sentence if the last epoch is not on disk */
  assertSaved(): void {
    if (this.#failure !== null) throw this.#failure;
  }
}

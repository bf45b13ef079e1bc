import type { Job } from '../../shared/model/job.ts';
import { CARD_HEIGHT, CARD_WIDTH, createCard, drawCard } from './contribution-card.ts';
import { createElement, element, setText } from './dom.ts';
import { canOffer, modelFileName, zipModel } from './model-file.ts';
import { hasStarted, type RunState } from './run-state.ts';

/** Weights of a job, as the coordinator sent them. */
interface KnownWeights {
  readonly job: Job;
  readonly payload: Uint8Array;
}

/** Card with what a person takes away from a run: the model as a file, and a picture of what this tab has computed. */
export class Keep {
  readonly #section = element('keep', HTMLElement);
  readonly #text = element('keep-text', HTMLElement);
  readonly #note = element('keep-note', HTMLElement);
  readonly #download = element('download-model', HTMLButtonElement);
  readonly #share = element('share-card', HTMLButtonElement);
  readonly #requestWeights: () => void;
  #run: RunState | null = null;
  #names: readonly string[] = [];
  #classNames: readonly string[] = [];
  #known: KnownWeights | null = null;
  #isWaiting = false;

  /** @param requestWeights asks the coordinator for the newest weights, if it can be reached */
  constructor(requestWeights: () => void) {
    this.#requestWeights = requestWeights;
    this.#download.addEventListener('click', () => this.#onDownload());
    this.#share.addEventListener('click', () => void this.#onShare());
  }

  /** Names that a file of the model needs. */
  setNames(names: readonly string[], classNames: readonly string[]): void {
    this.#names = names;
    this.#classNames = classNames;
    this.show(this.#run);
  }

  setWeights(known: KnownWeights): void {
    this.#known = known;
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#save();
  }

  show(run: RunState | null): void {
    this.#run = run;
    const job = run?.job ?? null;
    // Before its first step, a run has no weights to give.
    const canDownload = run !== null && job !== null && hasStarted(run) && canOffer(job, this.#names);
    const canShare = run !== null && createCard(run) !== null;
    this.#section.hidden = !canDownload && !canShare;
    this.#download.hidden = !canDownload;
    this.#share.hidden = !canShare;
    this.#text.hidden = !canDownload;
    setText(
      this.#text,
      run?.link.type === 'over'
        ? 'The trained model, as files for TensorFlow.js.'
        : 'The model as it is now, as files for TensorFlow.js.',
    );
  }

  #onDownload(): void {
    // After the end of a run its last weights are here, and the coordinator may be gone.
    if (this.#run?.link.type === 'over' && this.#known?.job === this.#run.job) {
      this.#save();
      return;
    }
    this.#isWaiting = true;
    setText(this.#note, 'Waiting for the weights.');
    this.#requestWeights();
  }

  #save(): void {
    const { job, epochs } = this.#run ?? {};
    if (job == null || epochs === undefined || this.#known === null) return;
    const { payload: weights } = this.#known;
    try {
      const model = { job, names: this.#names, weights, classNames: this.#classNames, epochs };
      const name = modelFileName(job);
      saveFile(new Blob([zipModel(model, GRADCAST_VERSION)], { type: 'application/zip' }), name);
      setText(this.#note, `Saved as ${name}. A README in it says how to use it.`);
    } catch {
      setText(this.#note, 'The weights are those of another run. Download the model again.');
    }
  }

  async #onShare(): Promise<void> {
    const card = this.#run === null ? null : createCard(this.#run);
    const canvas = createElement('canvas');
    canvas.width = CARD_WIDTH;
    canvas.height = CARD_HEIGHT;
    const context = canvas.getContext('2d');
    if (card === null || context === null) return;
    drawCard(context, card);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
    if (blob === null) return;
    const file = new File([blob], 'my-contribution.png', { type: blob.type });
    try {
      if (canShareFiles(file)) {
        await navigator.share({ files: [file], text: card.text });
        return;
      }
    } catch (error) {
      // The person has changed their mind.
      if (error instanceof DOMException && error.name === 'AbortError') return;
    }
    saveFile(blob, file.name);
    setText(this.#note, `Saved as ${file.name}: ${card.text}`);
  }
}

/** Whether the browser shares files, which few do outside phones, and none over plain http. */
const canShareFiles = (file: File): boolean =>
  (navigator as Partial<Pick<Navigator, 'canShare'>>).canShare?.({ files: [file] }) === true;

function saveFile(blob: Blob, name: string): void {
  const link = createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Browsers begin to read it at once.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

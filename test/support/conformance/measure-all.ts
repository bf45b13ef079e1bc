import { listCoordinatorCases } from './coordinator-cases.ts';
import { openEngines, type EngineName } from './engines.ts';
import type { CaseAnswer, EngineStatus } from './serve-cases.ts';
import { listStepCases } from './step-cases.ts';

/** Figures of a case that engines computed. */
export interface StepFigures {
  readonly name: string;
  readonly covers: readonly string[];
  readonly kerasError?: number;
  readonly answers: ReadonlyMap<EngineName, CaseAnswer>;
}

/** Figure of a case that no engine computes. */
export interface CoordinatorFigure {
  readonly name: string;
  readonly covers: readonly string[];
  readonly bound: number;
  readonly difference: number;
}

export interface Figures {
  readonly engines: ReadonlyMap<EngineName, EngineStatus>;
  readonly steps: readonly StepFigures[];
  readonly coordinator: readonly CoordinatorFigure[];
}

export interface MeasureOptions {
  readonly engines: readonly EngineName[];
  /** Measures only the cases of names of Keras that contain this, such as layers.Conv2D or lstm. */
  readonly only?: string | undefined;
  readonly onEngines: (engines: ReadonlyMap<EngineName, EngineStatus>) => void;
  readonly onProgress: (done: number, total: number, name: string) => void;
}

/** Computes all cases: on every engine at the same time, one after the other. */
export async function measureAll(options: MeasureOptions): Promise<Figures> {
  const only = options.only?.toLowerCase() ?? '';
  const isWanted = ({ covers }: { readonly covers: readonly string[] }): boolean =>
    only === '' || covers.some((name) => name.toLowerCase().includes(only));
  const stepCases = listStepCases().filter(isWanted);
  const coordinatorCases = listCoordinatorCases().filter(isWanted);
  const total = stepCases.length + coordinatorCases.length;
  const opened = await openEngines(options.engines);
  try {
    const engines = new Map([...opened].map(([name, { status }]) => [name, status]));
    options.onEngines(engines);
    const present = [...opened].filter(([, { status }]) => 'info' in status);
    const steps: StepFigures[] = [];
    for (const each of stepCases) {
      options.onProgress(steps.length, total, each.name);
      const prepared = await each.prepare();
      const answers = await Promise.all(
        present.map(async ([name, engine]) => [name, await engine.measure(prepared)] as const),
      );
      const { name, covers, kerasError } = each;
      steps.push({
        name,
        covers,
        answers: new Map(answers),
        ...(kerasError === undefined ? {} : { kerasError }),
      });
    }
    const coordinator: CoordinatorFigure[] = [];
    for (const each of coordinatorCases) {
      const { name, covers, bound } = each;
      options.onProgress(steps.length + coordinator.length, total, name);
      coordinator.push({ name, covers, bound, difference: await each.measure() });
    }
    options.onProgress(total, total, '');
    return { engines, steps, coordinator };
  } finally {
    await Promise.all([...opened.values()].map((engine) => engine.close()));
  }
}

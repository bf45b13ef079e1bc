import { listCoordinatorCases } from './coordinator-cases.ts';
import { openEngines, type EngineName, type TableEngine } from './engines.ts';
import type { StepCase } from './measure-case.ts';
import type { CaseAnswer, EngineStatus } from './serve-cases.ts';
import { listStepCases } from './step-cases.ts';

/** Figures of a case that engines computed. */
export interface StepFigures {
  /** With the kind, unlike that of any other case. */
  readonly name: string;
  readonly kind: StepCase['kind'];
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
  /** Called with the figures of each case that engines computed. */
  readonly onStep?: ((figures: StepFigures) => void) | undefined;
  /** Answers of an earlier run; they are not computed again. */
  readonly known?:
    ((step: Pick<StepFigures, 'kind' | 'name'>, engine: EngineName) => CaseAnswer | undefined) | undefined;
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
      let prepared: Promise<StepCase> | undefined;
      const compute = async (engine: TableEngine): Promise<CaseAnswer> =>
        engine.measure(await (prepared ??= each.prepare()));
      const answers = await Promise.all(
        present.map(
          async ([name, engine]) => [name, options.known?.(each, name) ?? (await compute(engine))] as const,
        ),
      );
      const { name, kind, covers, kerasError } = each;
      const figures = { name, kind, covers, answers: new Map(answers) };
      steps.push(kerasError === undefined ? figures : { ...figures, kerasError });
      options.onStep?.(steps.at(-1) as StepFigures);
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

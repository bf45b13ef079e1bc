import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { isWithin } from './document.ts';
import type { EngineName } from './engines.ts';
import type { StepFigures } from './measure-all.ts';
import type { CaseAnswer } from './serve-cases.ts';

type NamedCase = Pick<StepFigures, 'kind' | 'name'>;

/** Answers that runs keep in a file. */
export interface Answers {
  readonly known: (step: NamedCase, engine: EngineName) => CaseAnswer | undefined;
  /** Adds the answers of a case that are within the bounds; others are to be computed again. */
  readonly keep: (step: StepFigures) => void;
}

/** Opens a file of answers, one JSON line each. It need not exist. */
export function openAnswers(file: string): Answers {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
  const kept = new Map(lines.map((line) => JSON.parse(line) as [string, CaseAnswer]));
  const keyOf = ({ kind, name }: NamedCase, engine: EngineName): string => `${engine}, ${kind}: ${name}`;
  return {
    known: (step, engine) => kept.get(keyOf(step, engine)),
    keep(step) {
      for (const [engine, answer] of step.answers) {
        const key = keyOf(step, engine);
        if (kept.has(key) || 'failed' in answer || !isWithin(answer)) continue;
        appendFileSync(file, `${JSON.stringify([key, answer])}\n`);
      }
    },
  };
}

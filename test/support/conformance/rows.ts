import { isAccepted } from './acceptance.ts';
import { canonicalName, kerasNames, type Group } from './keras-names.ts';
import { REFUSALS } from './refusals.ts';

/** Public name of Keras in the table. */
export interface Row {
  readonly group: Group;
  readonly name: string;
  /** Name with its group under which the figures stand. */
  readonly canonical: string;
  /** Reason why gradcast does not have it; undefined if it has. */
  readonly refusal?: string;
}

export const groups = Object.keys(kerasNames.groups) as Group[];

/** Rows of all public names of Keras. @throws Error if a name is refused without a reason, or accepted with one */
export function listRows(): Row[] {
  return groups.flatMap((group) =>
    kerasNames.groups[group].map(({ name }): Row => {
      const canonical = canonicalName(group, name);
      const dot = canonical.lastIndexOf('.');
      const ownGroup = canonical.slice(0, dot) as Group;
      const ownName = canonical.slice(dot + 1);
      const refusal = REFUSALS[ownGroup][ownName];
      const accepted = isAccepted(ownGroup, ownName);
      if (accepted && refusal !== undefined)
        throw new Error(
          `gradcast has keras.${canonical}. Remove its reason from test/support/conformance/refusals.ts.`,
        );
      if (!accepted && refusal === undefined)
        throw new Error(
          `gradcast does not have keras.${canonical}. Add a reason to test/support/conformance/refusals.ts.`,
        );
      return { group, name, canonical, ...(refusal === undefined ? {} : { refusal }) };
    }),
  );
}

/** Canonical names that gradcast has without a case. @param covered names that cases check */
export function findUnchecked(rows: readonly Row[], covered: ReadonlySet<string>): string[] {
  const accepted = rows.filter(({ refusal }) => refusal === undefined).map(({ canonical }) => canonical);
  return [...new Set(accepted)].filter((name) => !covered.has(name));
}

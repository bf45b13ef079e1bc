import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { childrenOf, PairwiseSum, siblingOf } from '../../../shared/model/pairwise-sum.ts';
import type { Range } from '../../../shared/util/range.ts';
import { checkProperty } from '../../support/property.ts';

/** Every node of a tree, the root first. */
function nodesOf(node: Range): Range[] {
  return [node, ...(childrenOf(node) ?? []).flatMap(nodesOf)];
}

const join = (left: string, right: string): string => `(${left}${right})`;

/** Sum over a node, as text with one pair of parentheses for each addition. */
function expressionOf(node: Range): string {
  const children = childrenOf(node);
  return children === null ? `${node.from},` : join(expressionOf(children[0]), expressionOf(children[1]));
}

describe('the tree of a pairwise sum', () => {
  it.each([
    [1, '0,'],
    [2, '(0,1,)'],
    [3, '((0,1,)2,)'],
    [5, '(((0,1,)(2,3,))4,)'],
    [7, '(((0,1,)(2,3,))((4,5,)6,))'],
  ])('has, for %i leaves, the nodes %s', (leaves, expected) => {
    expect(expressionOf({ from: 0, to: leaves })).toBe(expected);
  });

  it('has two children as siblings of each other, and no sibling for the root', () => {
    for (let leaves = 1; leaves <= 70; leaves++) {
      const root = { from: 0, to: leaves };
      expect(siblingOf(root, leaves)).toBeNull();
      for (const node of nodesOf(root)) {
        const [left, right] = childrenOf(node) ?? [];
        if (left === undefined || right === undefined) continue;
        expect(siblingOf(left, leaves)).toEqual(right);
        expect(siblingOf(right, leaves)).toEqual(left);
      }
    }
  });
});

describe('PairwiseSum', () => {
  it('adds along the tree for any nodes in any order, with the sum after the last one', () => {
    checkProperty(
      fc.property(
        fc.integer({ min: 1, max: 70 }),
        fc.array(fc.nat(), { maxLength: 40 }),
        fc.infiniteStream(fc.nat()),
        (leaves, cuts, draws) => {
          let nodes: Range[] = [{ from: 0, to: leaves }];
          for (const cut of cuts)
            nodes = nodes.flatMap((node, i) =>
              i === cut % nodes.length ? (childrenOf(node) ?? [node]) : [node],
            );
          const sum = new PairwiseSum(join, leaves);
          let total: string | null = null;
          const left = [...nodes];
          while (left.length > 0) {
            expect(total).toBeNull();
            const [node] = left.splice(draws.next().value % left.length, 1);
            total = sum.add(node!, expressionOf(node!));
          }
          expect(total).toBe(expressionOf({ from: 0, to: leaves }));

          const inOrder = new PairwiseSum(join);
          for (const node of nodes) inOrder.push(expressionOf(node), node.to - node.from);
          expect(inOrder.total()).toBe(total);
        },
      ),
      { seed: 1 },
    );
  });

  it('has no total without values', () => {
    expect(() => new PairwiseSum(join).total()).toThrow('no values');
  });
});

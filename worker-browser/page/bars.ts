import { createElement, setText } from './elements.ts';
import { formatPercent } from './figures.ts';

/** A bar of a class, still empty. */
export function createBar(label: number): HTMLElement {
  const bar = createElement('li');
  bar.append(createElement('span', 'class', String(label)), createElement('span', 'bar'), createElement('span', 'percent'));
  return bar;
}

/** @param probability 0 to 1; null for none */
export function fillBar(bar: HTMLElement, label: number, probability: number | null, best: boolean): void {
  const [name, , percent] = bar.children;
  if (name) setText(name, String(label));
  if (percent) setText(percent, probability === null ? '' : formatPercent(probability));
  bar.classList.toggle('best', best);
  bar.style.setProperty('--part', String(probability ?? 0));
}

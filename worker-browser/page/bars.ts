import { made, setText } from './elements.ts';
import { percentText } from './figures.ts';

/** A bar of a class, still empty. */
export function barOf(label: number): HTMLElement {
  const bar = made('li');
  bar.append(made('span', 'class', String(label)), made('span', 'bar'), made('span', 'percent'));
  return bar;
}

/** @param probability 0 to 1; null for none */
export function fillBar(bar: HTMLElement, label: number, probability: number | null, best: boolean): void {
  const [name, , percent] = bar.children;
  if (name) setText(name, String(label));
  if (percent) setText(percent, probability === null ? '' : percentText(probability));
  bar.classList.toggle('best', best);
  bar.style.setProperty('--part', String(probability ?? 0));
}

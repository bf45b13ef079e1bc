/** @throws Error if the page lacks the element */
export function element<T extends Element>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`The page has no ${kind.name} #${id}.`);
}

/** Sets a text, only if it differs: screen readers would read an unchanged text again. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** A new element with a class and text. */
export function createElement<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = '',
  text = '',
): HTMLElementTagNameMap[Tag] {
  const created = document.createElement(tag);
  if (className !== '') created.className = className;
  created.textContent = text;
  return created;
}

/** A function that has `draw` called once before the next frame, however often it is called until then. Hidden tabs have no frames. */
export function oncePerFrame(draw: () => void): () => void {
  let isScheduled = false;
  return () => {
    if (isScheduled) return;
    isScheduled = true;
    requestAnimationFrame(() => {
      isScheduled = false;
      draw();
    });
  };
}

/**
 * A function that calls `draw` while `target` is on the screen or near it; else `draw` is called when it comes there, if it has been
 * asked for since. A chart below the screen costs nothing.
 */
export function whileOnScreen(target: Element, draw: () => void): () => void {
  let isOnScreen = false;
  let isDue = false;
  new IntersectionObserver(
    (entries) => {
      isOnScreen = entries.at(-1)?.isIntersecting === true;
      if (!isOnScreen || !isDue) return;
      isDue = false;
      draw();
    },
    { rootMargin: '20%' },
  ).observe(target);
  return () => {
    if (isOnScreen) draw();
    else isDue = true;
  };
}

/** The radio buttons of one name, as a single choice. */
export function bindRadioGroup(
  name: string,
  onChange: (value: string) => void,
): { set(value: string): void } {
  const inputs = [...document.querySelectorAll<HTMLInputElement>(`input[name="${name}"]`)];
  for (const input of inputs) input.addEventListener('change', () => onChange(input.value));
  return {
    set(value) {
      for (const input of inputs) input.checked = input.value === value;
    },
  };
}

/** Media queries on which the colors and the letters of style.css depend. */
const STYLES = ['(prefers-color-scheme: dark)', '(min-width: 160rem)'];

/** Calls back when the page has other colors, or letters of another size: a canvas keeps those with which it was drawn. */
export function onStyleChange(redraw: () => void): void {
  for (const query of STYLES) matchMedia(query).addEventListener('change', redraw);
}

/** Pixels of a length in rem, for plots: large screens have larger letters. */
export const pixelsOfRem = (rem: number): number =>
  Math.round(rem * parseFloat(getComputedStyle(document.documentElement).fontSize));

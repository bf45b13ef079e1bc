import { styleText } from 'node:util';
import stringWidth from 'string-width';
import { usesColor } from '../../shared/util/terminal.ts';

export type TextFormat = Parameters<typeof styleText>[0];

/** Colors and characters that a stream shows. */
export interface TextStyle {
  readonly inColor: boolean;
  /** Whether the terminal shows line drawing and braille characters. */
  readonly isUnicode: boolean;
}

/** Style of a log file: no colors, ASCII. */
export const PLAIN_STYLE: TextStyle = { inColor: false, isUnicode: false };

/** Style of a stream of this process. */
export const styleOf = (stream: { readonly isTTY?: boolean }): TextStyle => ({
  inColor: usesColor(stream, process.env),
  isUnicode: isUnicodeLocale(process.env, process.platform),
});

/** Whether the locale of a process is UTF-8. Windows and macOS have none to say so, and show Unicode. */
export function isUnicodeLocale(
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform,
): boolean {
  const locale = [env.LC_ALL, env.LC_CTYPE, env.LANG].find((value) => value !== undefined && value !== '');
  return locale === undefined ? platform === 'win32' || platform === 'darwin' : /utf-?8/i.test(locale);
}

/** Text with the escape sequences of a format, if the style has colors. */
export const paint = ({ inColor }: TextStyle, format: TextFormat, text: string): string =>
  inColor && text !== '' ? styleText(format, text, { validateStream: false }) : text;

/** Number of columns that a text takes on a terminal. Escape sequences take none, and wide characters two. */
export const widthOf = (text: string): number => stringWidth(text);

/** Beginning of a text that takes at most a number of columns. @param text without escape sequences */
export function truncate(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  const characters = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
  while (characters.length > 0 && widthOf(characters.join('')) > columns) characters.pop();
  return characters.join('');
}

import swc from '@swc/wasm-typescript';

/** Error as the parser throws it; lines count from 1, columns from 0. */
interface ParserError {
  readonly message: string;
  readonly startLine?: number;
  readonly startColumn?: number;
}

/**
 * JavaScript of a TypeScript or JavaScript file: types are replaced by blanks, so that lines and columns stay. As in Node itself, enums, namespaces
 * and other syntax that is more than types is refused.
 * @param name name of the file for errors
 * @throws SyntaxError whose message begins with name, line and column
 */
export function stripTypes(text: string, name: string): string {
  try {
    return swc.transformSync(text, { mode: 'strip-only', filename: name, module: true }).code;
  } catch (error) {
    throw new SyntaxError(describe(name, error as ParserError), { cause: error });
  }
}

const describe = (name: string, { message, startLine, startColumn = 0 }: ParserError): string => {
  const place = startLine === undefined ? '' : `:${startLine}:${startColumn + 1}`;
  return `${name}${place}: ${message.split('\n')[0]?.replace(/\.$/, '') ?? ''}.`;
};

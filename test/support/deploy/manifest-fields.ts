/**
 * Paths of the fields that a document sets, such as spec.template.spec.restartPolicy; items of lists have no segment. Keys may contain
 * dots.
 */
export function fieldPaths(document: unknown, path = ''): string[] {
  if (Array.isArray(document) && document.some((item) => typeof item === 'object')) {
    return document.flatMap((item) => fieldPaths(item, path));
  }
  const isObject = typeof document === 'object' && document !== null && !Array.isArray(document);
  if (!isObject || Object.keys(document).length === 0) return [path];
  return Object.entries(document).flatMap(([key, value]) =>
    fieldPaths(value, path === '' ? key : `${path}.${key}`),
  );
}

/** Fields of the first column of a table in Markdown: texts in backticks. */
export function fieldsOfTable(markdown: string): string[] {
  return markdown
    .split('\n')
    .filter((line) => line.startsWith('| `') || line.startsWith('|`'))
    .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, field = '']) => field));
}

/** Whether a row explains a field: it names the field, its end, or something that contains it. */
export const explains = (row: string, path: string): boolean => `.${path}.`.includes(`.${row}.`);

/** Message of a caught value of any type. tfjs throws objects that are not instances of Error. */
export const errorMessage = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);

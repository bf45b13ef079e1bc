/** What a caught value says; anything can be thrown, and tfjs throws objects that are no errors. */
export const errorMessage = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);

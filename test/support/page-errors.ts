import type { Page } from 'playwright-core';

/**
 * Records errors, warnings and failed requests of a page.
 * @param expected messages to ignore
 */
export function collectPageErrors(page: Page, expected?: RegExp): readonly string[] {
  const trouble: string[] = [];
  page.on('console', (message) => {
    if (expected?.test(message.text()) === true) return;
    if (message.type() === 'error' || message.type() === 'warning') trouble.push(message.text());
  });
  page.on('pageerror', (error) => trouble.push(error.message));
  page.on('requestfailed', (request) => trouble.push(`${request.url()} failed`));
  page.on('response', (response) => {
    if (response.status() >= 400) trouble.push(`${response.status()} ${response.url()}`);
  });
  return trouble;
}

import type { Page } from 'playwright-core';

/**
 * What goes wrong on a page from now on: errors, warnings, failed requests.
 * @param expected what the browser says in any case
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

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findBrowser, getBrowser, type Machine } from '../../scripts/browser.js';

describe('the browser for tests', () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'gradcast-browser-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  const program = (name: string): string => {
    const path = join(folder, name);
    writeFileSync(path, '', { mode: 0o755 });
    return path;
  };
  /** A machine whose programs lie in the folder; `installs` does what a real installer would. */
  const machine = (
    more: Partial<Machine> = {},
    installs: (command: string) => void = () => undefined,
  ): Machine & { readonly commands: string[] } => {
    const commands: string[] = [];
    return {
      env: { PATH: folder },
      usualPaths: [],
      isRoot: true,
      starts: () => true,
      playwright: ['playwright'],
      log: () => undefined,
      ...more,
      commands,
      run(name, args) {
        const command = [name, ...args].join(' ');
        commands.push(command);
        installs(command);
        return more.run?.(name, args) ?? true;
      },
    };
  };

  it('is the one of GRADCAST_CHROMIUM, else the first on the PATH, else the first at a usual path', () => {
    const usual = program('elsewhere');
    expect(findBrowser({ env: { PATH: folder }, usualPaths: [] })).toBeNull();
    expect(findBrowser({ env: { PATH: folder }, usualPaths: [usual] })).toBe(usual);
    const onPath = program('chromium');
    expect(findBrowser({ env: { PATH: folder }, usualPaths: [usual] })).toBe(onPath);
    const env = { PATH: folder, GRADCAST_CHROMIUM: usual };
    expect(findBrowser({ env, usualPaths: [] })).toBe(usual);
    expect(findBrowser({ env: { ...env, GRADCAST_CHROMIUM: '/no' }, usualPaths: [] })).toBeNull();
  });

  it('is installed by Playwright only if no installed browser starts', () => {
    const none = machine({}, () => program('chromium'));
    expect(getBrowser(none)).toEqual({ path: join(folder, 'chromium') });
    expect(none.commands).toEqual(['playwright install --no-shell chromium']);
    const one = machine();
    expect(getBrowser(one)).toEqual({ path: join(folder, 'chromium') });
    expect(one.commands).toEqual([]);
  });

  it("is installed by the package manager if Playwright's installation fails", () => {
    program('apt-get');
    const root = machine({}, (command) => command.includes('apt-get install') && program('chromium'));
    expect(getBrowser(root)).toEqual({ path: join(folder, 'chromium') });
    expect(root.commands.slice(1)).toEqual([
      'apt-get update -q',
      'apt-get install -y -q --no-install-recommends chromium',
    ]);
  });

  it("is installed by the package manager if Playwright's browser does not start", () => {
    program('apk');
    const usualPaths = [join(folder, 'playwrights')];
    const root = machine({ usualPaths, starts: (path) => !path.endsWith('playwrights') }, (command) =>
      program(command.startsWith('playwright') ? 'playwrights' : 'chromium'),
    );
    expect(getBrowser(root)).toEqual({ path: join(folder, 'chromium') });
  });

  it('is not installed if that needs a password: the advice names the command to run', () => {
    program('apt-get');
    program('sudo');
    const user = machine({ isRoot: false, run: (name) => name !== 'sudo' });
    const { advice } = getBrowser(user);
    expect(advice).toContain('Run: sudo apt-get update -q && sudo apt-get install');
    expect(user.commands.slice(1)).toEqual(['sudo -n true']);
    expect(getBrowser(machine({ env: { PATH: '' } })).advice).toMatch(/Install Chromium or Chrome/);
    const wrong = machine({ env: { PATH: folder, GRADCAST_CHROMIUM: '/no' } });
    expect(getBrowser(wrong).advice).toMatch(/^GRADCAST_CHROMIUM names \/no,/);
    expect(wrong.commands).toEqual([]);
  });
});

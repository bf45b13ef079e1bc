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
  /** A machine whose programs are those of the folder; installers do what `installs` says. */
  const machine = (
    more: Partial<Machine> = {},
    installs: (command: string) => void = () => undefined,
  ): Machine & { readonly commands: string[] } => {
    const commands: string[] = [];
    return {
      env: { PATH: folder },
      places: [],
      isRoot: true,
      starts: () => true,
      playwright: ['playwright'],
      say: () => undefined,
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

  it('is what GRADCAST_CHROMIUM names, else what the PATH has, else where it is wont to be', () => {
    const wont = program('elsewhere');
    expect(findBrowser({ env: { PATH: folder }, places: [] })).toBeNull();
    expect(findBrowser({ env: { PATH: folder }, places: [wont] })).toBe(wont);
    const onPath = program('chromium');
    expect(findBrowser({ env: { PATH: folder }, places: [wont] })).toBe(onPath);
    const env = { PATH: folder, GRADCAST_CHROMIUM: wont };
    expect(findBrowser({ env, places: [] })).toBe(wont);
    expect(findBrowser({ env: { ...env, GRADCAST_CHROMIUM: '/no' }, places: [] })).toBeNull();
  });

  it("is not got where there is one that starts, else is Playwright's", () => {
    const none = machine({}, () => program('chromium'));
    expect(getBrowser(none)).toEqual({ path: join(folder, 'chromium') });
    expect(none.commands).toEqual(['playwright install --no-shell chromium']);
    const one = machine();
    expect(getBrowser(one)).toEqual({ path: join(folder, 'chromium') });
    expect(one.commands).toEqual([]);
  });

  it("is the package manager's where Playwright's cannot be had", () => {
    program('apt-get');
    const root = machine({}, (command) => command.includes('apt-get install') && program('chromium'));
    expect(getBrowser(root)).toEqual({ path: join(folder, 'chromium') });
    expect(root.commands.slice(1)).toEqual([
      'apt-get update -q',
      'apt-get install -y -q --no-install-recommends chromium',
    ]);
  });

  it("is the package manager's where Playwright's lacks libraries", () => {
    program('apk');
    const places = [join(folder, 'playwrights')];
    const root = machine({ places, starts: (path) => !path.endsWith('playwrights') }, (command) =>
      program(command.startsWith('playwright') ? 'playwrights' : 'chromium'),
    );
    expect(getBrowser(root)).toEqual({ path: join(folder, 'chromium') });
  });

  it('asks for no password: it says what to type', () => {
    program('apt-get');
    program('sudo');
    const user = machine({ isRoot: false, run: (name) => name !== 'sudo' });
    const { advice } = getBrowser(user);
    expect(advice).toContain('Type: sudo apt-get update -q && sudo apt-get install');
    expect(user.commands.slice(1)).toEqual(['sudo -n true']);
    expect(getBrowser(machine({ env: { PATH: '' } })).advice).toMatch(/Install Chromium or Chrome/);
    const wrong = machine({ env: { PATH: folder, GRADCAST_CHROMIUM: '/no' } });
    expect(getBrowser(wrong).advice).toMatch(/^GRADCAST_CHROMIUM names \/no,/);
    expect(wrong.commands).toEqual([]);
  });
});

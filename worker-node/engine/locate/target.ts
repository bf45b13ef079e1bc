/** Which TensorFlow: with CUDA or without. */
export type Variant = 'cpu' | 'gpu';

/** The binding, and the TensorFlow whose wheel it is built against. */
export const TFJS_VERSION = '4.22.0';
export const WHEEL_TENSORFLOW_VERSION = '2.21.0';

/** The newest Node-API that the binding knows; newer Nodes load it too. */
const MAX_NAPI = 8;

/** What an engine must fit to be loaded by this process. */
export interface Target {
  readonly platform: NodeJS.Platform;
  readonly arch: string;
  readonly napi: number;
}

export function currentTarget(): Target {
  return {
    platform: process.platform,
    arch: process.arch,
    napi: Math.min(MAX_NAPI, Number(process.versions.napi)),
  };
}

export const packageName = (variant: Variant): string =>
  variant === 'gpu' ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node';

/**
 * The folder's name of an engine: everything that it was built from. Node-API is stable over Node's versions, so the
 * version of Node itself is no part of it.
 */
export function engineKey(target: Target, variant: Variant, tensorflowVersion: string): string {
  const { platform, arch, napi } = target;
  return `${platform}-${arch}-napi${napi}-tfjs${TFJS_VERSION}-tf${tensorflowVersion}-${variant}`;
}

/** The ways to an engine that a platform has. */
export interface InstallMethods {
  readonly download: boolean;
  /** PyPI's name of the wheel to build against, or null where none will do. */
  readonly wheel: string | null;
  /** Why there is no way at all, as a sentence. */
  readonly unsupported?: string;
}

/**
 * @param glibc false on a Linux without glibc (Alpine), whose loader cannot open TensorFlow's libraries
 */
export function findInstallMethods(
  { platform, arch }: Target,
  variant: Variant,
  glibc: boolean,
): InstallMethods {
  const none = (what: string): InstallMethods => ({
    download: false,
    wheel: null,
    unsupported:
      `Native TensorFlow cannot be installed by gradcast ${what} yet. ` +
      'Training works there on WebAssembly, which needs no installation.',
  });
  if (platform === 'linux') {
    if (!glibc) return none('on a Linux without glibc');
    if (arch === 'x64') return { download: true, wheel: variant === 'gpu' ? 'tensorflow' : 'tensorflow-cpu' };
    if (arch === 'arm64' && variant === 'cpu') return { download: true, wheel: 'tensorflow' };
    return none(variant === 'gpu' ? `for a GPU on Linux on ${arch}` : `on Linux on ${arch}`);
  }
  if (variant === 'gpu') return none(`for a GPU on ${platformName(platform)}`);
  if (platform === 'darwin' && arch === 'x64') return { download: true, wheel: null };
  return none(`on ${platformName(platform)}${platform === 'darwin' ? ' with Apple silicon' : ''}`);
}

export function hasGlibc(): boolean {
  const { header } = process.report.getReport() as { readonly header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime !== undefined;
}

function platformName(platform: NodeJS.Platform): string {
  return { darwin: 'macOS', win32: 'Windows', linux: 'Linux' }[platform as string] ?? platform;
}

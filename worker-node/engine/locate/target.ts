/** TensorFlow with CUDA (gpu) or without (cpu). */
export type Variant = 'cpu' | 'gpu';

/** Version of the binding, and of the TensorFlow wheel that it is compiled against. */
export const TFJS_VERSION = '4.22.0';
export const WHEEL_TENSORFLOW_VERSION = '2.21.0';

/** Newest Node-API version of the binding, which newer Node versions load too. */
const MAX_NAPI = 8;

/** Platform and Node-API that an engine is built for. */
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
 * Folder name of an engine: everything that it was built from. Node-API is stable across Node versions, so the name does not
 * contain Node's own version.
 */
export function engineKey(target: Target, variant: Variant, tensorflowVersion: string): string {
  const { platform, arch, napi } = target;
  return `${platform}-${arch}-napi${napi}-tfjs${TFJS_VERSION}-tf${tensorflowVersion}-${variant}`;
}

/** Install methods of a platform. */
export interface InstallMethods {
  readonly download: boolean;
  /** Name on PyPI of the wheel to build against, or null. */
  readonly wheel: string | null;
  /** Sentence that says why there is no method. */
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
  const none = (where: string): InstallMethods => ({
    download: false,
    wheel: null,
    unsupported:
      `Native TensorFlow cannot be installed by gradcast ${where} yet. ` +
      'Training works there with WebAssembly, which needs no installation.',
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

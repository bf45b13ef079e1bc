import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { release } from 'node:os';
import { createPathLookup, detectPackageManager, type PackageManager } from '../../util/package-manager.ts';
import { nativeCandidates } from '../locate/candidates.ts';
import { findWebGpuPackage, WEBGPU_PACKAGE, WEBGPU_VERSION } from './webgpu-package.ts';

/** Parts of a system that decide whether WebGPU can work on it. */
export interface System {
  readonly platform: NodeJS.Platform;
  readonly arch: string;
  /** Version of the kernel. */
  readonly release: string;
  /** Version of glibc; null on a system without it. */
  readonly glibc: string | null;
  /** Whether a file exists. */
  readonly exists: (path: string) => boolean;
  /** Whether this user may read and write a file. */
  readonly isAllowed: (path: string) => boolean;
  /** Names of the files in a folder; none if it is missing. */
  readonly list: (folder: string) => readonly string[];
  /** Whether a program is on PATH. */
  readonly has: (program: string) => boolean;
}

export function thisSystem(): System {
  const { header } = process.report.getReport() as { readonly header: { glibcVersionRuntime?: string } };
  return {
    platform: process.platform,
    arch: process.arch,
    release: release(),
    glibc: header.glibcVersionRuntime ?? null,
    exists: existsSync,
    isAllowed(path) {
      try {
        accessSync(path, constants.R_OK | constants.W_OK);
        return true;
      } catch {
        return false;
      }
    },
    list(folder) {
      try {
        return readdirSync(folder);
      } catch {
        return [];
      }
    },
    has: createPathLookup(process.env),
  };
}

/** Platforms that the package has an addon for. */
const PLATFORMS: readonly string[] = [
  'linux x64',
  'linux arm64',
  'darwin x64',
  'darwin arm64',
  'win32 x64',
  'win32 arm64',
];
/** Oldest glibc that the addon's symbols need. */
const MIN_GLIBC_MINOR = 34;
/** Version of macOS that the addon was built for. */
const BUILT_FOR_MACOS = 26;

/** @returns a sentence that says why the package cannot work on this system, or null */
export function unsupportedWebGpu({ platform, arch, glibc }: System): string | null {
  const refuse = (where: string): string =>
    `The package ${WEBGPU_PACKAGE} ${WEBGPU_VERSION} has no program ${where}. Training works there with WebAssembly, which needs no installation.`;
  if (!PLATFORMS.includes(`${platform} ${arch}`)) {
    return refuse(`for ${platform} on ${arch}: it has those for Linux, macOS and Windows on x64 and arm64`);
  }
  if (platform !== 'linux') return null;
  if (glibc === null) return refuse('for a Linux without glibc, such as Alpine');
  const [major = 0, minor = 0] = glibc.split('.').map(Number);
  if (major > 2 || minor >= MIN_GLIBC_MINOR) return null;
  return refuse(
    `for glibc ${glibc}: it needs 2.${MIN_GLIBC_MINOR} or newer (Ubuntu 22.04, Debian 12, Fedora 35)`,
  );
}

/** Files of devices in /dev/dri by which programs compute on a GPU. */
const renderNodes = ({ list }: System): string[] =>
  list('/dev/dri')
    .filter((name) => name.startsWith('renderD'))
    .map((name) => `/dev/dri/${name}`);

/** Whether this system shows a GPU: macOS and Windows practically always have one. */
export function seesGpu(system: System): boolean {
  const { platform, exists } = system;
  if (platform === 'darwin' || platform === 'win32') return true;
  return ['/dev/nvidia0', '/dev/dxg'].some(exists) || renderNodes(system).length > 0;
}

/** Line that offers WebGPU on a system that shows a GPU and lacks the package; null otherwise. */
export function webGpuOffer(
  commandLine: string,
  system: System = thisSystem(),
  usesGpu: boolean = hasGpuEngine(),
): string | null {
  if (usesGpu || unsupportedWebGpu(system) !== null || !seesGpu(system)) return null;
  return `A GPU may be faster than the processor. To let gradcast measure it: ${commandLine} engine install --webgpu (132 MB)`;
}

/** Whether an engine for a GPU is installed. */
function hasGpuEngine(): boolean {
  const candidates = nativeCandidates();
  return (
    findWebGpuPackage() !== null ||
    candidates.some(({ variant, missing }) => variant === 'gpu' && missing === null)
  );
}

/** Commands that install Mesa's drivers for Vulkan, for AMD's and Intel's GPUs, and Vulkan's loader. */
const MESA: Readonly<Partial<Record<PackageManager, string>>> = {
  apt: 'sudo apt-get install -y libvulkan1 mesa-vulkan-drivers',
  dnf: 'sudo dnf install -y vulkan-loader mesa-vulkan-drivers',
  yum: 'sudo yum install -y vulkan-loader mesa-vulkan-drivers',
  zypper: 'sudo zypper install -y libvulkan1 libvulkan_radeon libvulkan_intel',
  pacman: 'sudo pacman -S --needed vulkan-icd-loader vulkan-radeon vulkan-intel',
};
const LOADER: Readonly<Partial<Record<PackageManager, string>>> = {
  apt: 'sudo apt-get install -y libvulkan1',
  dnf: 'sudo dnf install -y vulkan-loader',
  yum: 'sudo yum install -y vulkan-loader',
  zypper: 'sudo zypper install -y libvulkan1',
  pacman: 'sudo pacman -S --needed vulkan-icd-loader',
};

/** Sentence that says what WebGPU needs on this system to find a GPU. */
export function driverAdvice(system: System): string {
  const { platform, exists, isAllowed, has } = system;
  if (platform === 'win32')
    return "Install the driver of the GPU's vendor, with Direct3D 12; a virtual machine or a service may hide the GPU.";
  if (platform === 'darwin') return macAdvice(system);
  const manager = detectPackageManager(platform, has);
  if (exists('/dev/nvidia0')) {
    const how = LOADER[manager] ?? "with this system's package manager";
    return (
      `NVIDIA's driver is loaded: install its part for Vulkan (libnvidia-gl on Debian and Ubuntu; in a container, ` +
      `NVIDIA_DRIVER_CAPABILITIES=all) and Vulkan's loader (${how}).`
    );
  }
  const nodes = renderNodes(system);
  const forbidden = nodes.find((path) => !isAllowed(path));
  if (forbidden !== undefined)
    return `This user may not open ${forbidden}: sudo usermod -aG render $USER allows it after the next login.`;
  if (nodes.length > 0) {
    const how = MESA[manager];
    return `Install Mesa's driver for Vulkan, for GPUs of AMD and Intel${how === undefined ? ", with this system's package manager" : `: ${how}`}.`;
  }
  if (exists('/dev/dxg'))
    return 'WSL has no usual driver for Vulkan: run gradcast in Windows itself, where WebGPU uses Direct3D 12.';
  return 'This system shows no GPU (/dev/dri, /dev/nvidia0): a container needs --device /dev/dri, or --gpus all for one of NVIDIA.';
}

function macAdvice({ release: kernel }: System): string {
  const darwin = Number(kernel.split('.')[0]);
  // The numbers of macOS follow those of years since Darwin 25.
  const version = darwin >= 25 ? darwin + 1 : darwin - 9;
  return version < BUILT_FOR_MACOS
    ? `The package is built for macOS ${BUILT_FOR_MACOS}, and this is macOS ${version}: update macOS.`
    : 'macOS brings its driver, Metal; a virtual machine may hide the GPU.';
}

/** Folders of TensorFlow's headers that the addon includes; the others hold ten thousand files. */
const HEADERS = ['tensorflow/c/', 'tensorflow/core/platform/', 'tsl/', 'xla/tsl/'];
const LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];

/**
 * Path of a wheel's entry in the binding's deps/ folder, or null if it is not needed. CUDA's libraries stay in
 * nvidia/<part>/lib, where they look for each other.
 */
export function targetPath(entry: string): string | null {
  if (entry.endsWith('/') || entry.split('/').includes('..')) return null;
  const library = LIBRARIES.find((name) => entry === `tensorflow/${name}`);
  if (library !== undefined) return `lib/${library}`;
  const include = 'tensorflow/include/';
  if (entry.startsWith(include)) {
    const header = entry.slice(include.length);
    return HEADERS.some((part) => header.startsWith(part)) ? `include/${header}` : null;
  }
  return /^nvidia\/[^/]+\/lib\/[^/]+$/.test(entry) ||
    /^nvidia\/cuda_nvcc\/nvvm\/libdevice\/[^/]+$/.test(entry)
    ? entry
    : null;
}

/** Reads the SHA-256 (base64url) of each entry from a wheel's RECORD, which has lines of path,sha256=...,size. */
export function parseRecord(text: string): Map<string, string> {
  const hashes = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^"?([^"]+?)"?,sha256=([\w-]+),\d*\s*$/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) hashes.set(match[1], match[2]);
  }
  return hashes;
}

/**
 * Requirements of an extra of a wheel, for pip: 'nvidia-cudnn-cu12<10.0,>=9.3.0.75' and so on.
 * @param metadata text of the wheel's METADATA
 */
export function extraRequirements(metadata: string, extra: string): string[] {
  return metadata.split('\n').flatMap((line) => {
    const match = /^Requires-Dist:\s*([^;]+?)\s*;\s*(.*)$/.exec(line.trim());
    const [, requirement = '', marker = ''] = match ?? [];
    if (match === null || !new RegExp(`extra\\s*==\\s*["']${extra}["']`).test(marker)) return [];
    return [requirement.replaceAll(/[\s()]/g, '')];
  });
}

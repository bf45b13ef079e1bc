import { existsSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { chromiumPath } from './chromium.ts';

/** File that tells Vulkan about SwiftShader, a GPU on the processor, and Vulkan itself: Chromium brings both. */
const DRIVER = 'vk_swiftshader_icd.json';
const VULKAN = 'libvulkan.so.1';

/** Folders of browsers whose program on the PATH is a script in another folder. */
const USUAL_FOLDERS = [
  '/usr/lib/chromium',
  '/usr/lib64/chromium-browser',
  '/usr/lib/chromium-browser',
  '/snap/chromium/current/usr/lib/chromium-browser',
];

/**
 * Folder with SwiftShader and Vulkan: that of the browser's program, as in Playwright's, Chrome's and Chromium's archives, or one
 * beside the script that starts it. Null if neither has both.
 * @param browser path of its program
 */
export function softwareGpuFolder(
  browser: string,
  usualFolders: readonly string[] = USUAL_FOLDERS,
): string | null {
  const folders = [dirname(realpathSync(browser)), dirname(browser), ...usualFolders];
  return folders.find((each) => [DRIVER, VULKAN].every((file) => existsSync(join(each, file)))) ?? null;
}

/** Variable with the description file of another software driver, such as lavapipe's of Mesa. */
const OTHER_DRIVER = 'GRADCAST_TEST_VULKAN_DRIVER';

/**
 * Environment of a process whose only GPU is SwiftShader, or the driver of GRADCAST_TEST_VULKAN_DRIVER; null where Chromium does not
 * bring SwiftShader. It has to be set before the start.
 */
export function softwareGpuEnv(): NodeJS.ProcessEnv | null {
  const folder = chromiumPath === null ? null : softwareGpuFolder(chromiumPath);
  if (folder === null) return null;
  const driver = process.env[OTHER_DRIVER] ?? join(folder, DRIVER);
  const libraries = [folder, process.env.LD_LIBRARY_PATH ?? ''].filter((path) => path !== '');
  return {
    // The name before and since Vulkan 1.3.207.
    VK_ICD_FILENAMES: driver,
    VK_DRIVER_FILES: driver,
    LD_LIBRARY_PATH: libraries.join(delimiter),
  };
}

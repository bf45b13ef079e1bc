import { existsSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { chromiumPath } from './chromium.ts';

/** File that tells Vulkan about SwiftShader, a GPU on the processor, and Vulkan itself: Chromium brings both. */
const DRIVER = 'vk_swiftshader_icd.json';
const VULKAN = 'libvulkan.so.1';

/** Variable with the description file of another software driver, such as lavapipe's of Mesa. */
const OTHER_DRIVER = 'GRADCAST_TEST_VULKAN_DRIVER';

/**
 * Environment of a process whose only GPU is SwiftShader, or the driver of GRADCAST_TEST_VULKAN_DRIVER; null where Chromium does not
 * bring SwiftShader. It has to be set before the start.
 */
export function softwareGpuEnv(): NodeJS.ProcessEnv | null {
  if (chromiumPath === null) return null;
  const folders = [dirname(realpathSync(chromiumPath)), '/usr/lib/chromium', '/usr/lib64/chromium-browser'];
  const folder = folders.find((each) => [DRIVER, VULKAN].every((file) => existsSync(join(each, file))));
  if (folder === undefined) return null;
  const driver = process.env[OTHER_DRIVER] ?? join(folder, DRIVER);
  const libraries = [folder, process.env.LD_LIBRARY_PATH ?? ''].filter((path) => path !== '');
  return {
    // The name before and since Vulkan 1.3.207.
    VK_ICD_FILENAMES: driver,
    VK_DRIVER_FILES: driver,
    LD_LIBRARY_PATH: libraries.join(delimiter),
  };
}

/**
 * What a person may have set for gradcast, TensorFlow or their terminal, and what would change the outcome of tests: it is
 * not there for them, nor for the processes that they start. What says where the machine's own engine and browser lie stays.
 */
const USER_VARIABLES = [
  ...['GRADCAST_TOKEN', 'GRADCAST_MNIST_MIRRORS', 'GRADCAST_SIBLING', 'GRADCAST_LEASH', 'GRADCAST_DEBUG'],
  'GRADCAST_INSTALL_NATIVE',
  ...['TF_NUM_INTRAOP_THREADS', 'TF_CPP_MIN_LOG_LEVEL', 'NVIDIA_TF32_OVERRIDE', 'CUDA_DEVICE_ORDER'],
  ...['PYTHON', 'CXX', 'COLUMNS', 'NODE_USE_ENV_PROXY', 'NODE_DEBUG'],
];

export function clearUserSettings(env: NodeJS.ProcessEnv): void {
  for (const name of USER_VARIABLES) Reflect.deleteProperty(env, name);
}

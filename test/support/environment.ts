/**
 * Variables that a user may have set for gradcast, TensorFlow or the terminal and that would change the results of tests.
 * They are removed for tests and their processes. The variables that name the machine's engine and browser stay.
 */
const USER_VARIABLES = [
  ...[
    'GRADCAST_TOKEN',
    'GRADCAST_MNIST_MIRRORS',
    'GRADCAST_SIBLING',
    'GRADCAST_MACHINE_NAME',
    'GRADCAST_LEASH',
    'GRADCAST_DEBUG',
  ],
  ...['GRADCAST_GPU', 'GRADCAST_GPU_POWER', 'GRADCAST_MULTIPLY_ADD'],
  ...['TF_NUM_INTRAOP_THREADS', 'TF_CPP_MIN_LOG_LEVEL', 'NVIDIA_TF32_OVERRIDE', 'CUDA_DEVICE_ORDER'],
  ...['PYTHON', 'CXX', 'COLUMNS', 'NODE_USE_ENV_PROXY', 'NODE_DEBUG'],
];

export function clearUserSettings(env: NodeJS.ProcessEnv): void {
  for (const name of USER_VARIABLES) Reflect.deleteProperty(env, name);
}

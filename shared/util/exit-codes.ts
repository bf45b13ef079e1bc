/** Exit codes of the command line. docs/guide/fleets.md explains them. */
export const ExitCode = {
  /** The command has done what it was asked to; the run of a worker or relay is over. */
  done: 0,
  /** An error, which a sentence on stderr explains; also wrong options, and a worker that a coordinator refuses. */
  failed: 1,
  /** The engine of one of several workers was lost. The process that started the worker starts it again. */
  engineDied: 86,
  /** One of several workers received SIGTERM from another process than its parent, which starts it again. */
  workerTerminated: 87,
  /** A signal has stopped the command before its end. A run has saved what is needed to resume it; a worker may be started again. */
  interrupted: 130,
} as const;

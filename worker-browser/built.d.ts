/** Name of the tab's Web Worker, as built. */
declare const TAB_WORKER_FILE: string;

import type { EngineInfo } from '../../shared/protocol/messages.ts';
import { samplesPerSecond, type PageState, type Phase } from './state.ts';

/** Everything that the page shows, as text. */
export interface View {
  readonly title: string;
  readonly headline: string;
  readonly phase: Phase['type'];
  /** A few words; spoken by screen readers when it changes, as `detail` is. */
  readonly state: string;
  readonly detail: string;
  /** Changes every second; not spoken. */
  readonly countdown: string;
  readonly button: Button;
  readonly samples: string;
  readonly samplesPerSecond: string;
  readonly shards: string;
  readonly step: string;
  /** From 0 to 1. */
  readonly progress: number;
  readonly engine: string;
  readonly engineWhy: string;
  readonly note: string;
}

export interface Button {
  readonly label: string;
  readonly action: 'pause' | 'continue' | 'reload';
  readonly enabled: boolean;
}

const NOTHING_YET = '–';

/** What the page shows of a state at a time. */
export function viewOf(page: PageState, nowMs: number): View {
  const { phase, run, step, engine } = page;
  const { state, detail } = wordsOf(phase);
  const rate = samplesPerSecond(page, nowMs);
  return {
    title: `${state} · gradcast`,
    headline: run === null ? 'Training together' : `Training together on ${run.dataName}`,
    phase: phase.type,
    state,
    detail,
    countdown: phase.type === 'waiting' ? countdown(phase.untilMs - nowMs) : '',
    button: buttonOf(phase),
    samples: page.samples.toLocaleString('en-US'),
    samplesPerSecond: rate === null ? NOTHING_YET : rateText(rate),
    shards: page.shards.toLocaleString('en-US'),
    step: stepText(step, run?.steps),
    progress: step === null || run === null ? 0 : Math.min(1, step / run.steps),
    engine: engine === null ? 'being prepared' : engineText(engine.info),
    engineWhy: asSentence(engine?.why ?? ''),
    note: page.note ?? '',
  };
}

function wordsOf(phase: Phase): { readonly state: string; readonly detail: string } {
  switch (phase.type) {
    case 'starting':
      return { state: 'Starting', detail: 'Preparing this browser for computing.' };
    case 'connecting':
      return { state: 'Connecting', detail: 'Looking for the coordinator of the run.' };
    case 'building':
      return { state: 'Building the model', detail: 'Almost there.' };
    case 'contributing':
      return { state: 'Contributing', detail: 'This tab computes its share of every batch.' };
    case 'pausing':
      return { state: 'Pausing', detail: 'Leaving the run.' };
    case 'paused':
      return { state: 'Paused', detail: 'The run goes on without this tab.' };
    case 'waiting':
      return { state: 'Waiting to reconnect', detail: asSentence(phase.reason) };
    case 'finished':
      return { state: 'The run is over', detail: `${asSentence(phase.reason)} Thank you for taking part.` };
    case 'refused':
      return { state: 'The coordinator refused this tab', detail: asSentence(phase.reason) };
    case 'failed':
      return { state: 'This tab cannot take part', detail: asSentence(phase.reason) };
  }
}

function buttonOf(phase: Phase): Button {
  switch (phase.type) {
    case 'starting':
    case 'connecting':
    case 'building':
    case 'contributing':
    case 'waiting':
      return { label: 'Pause', action: 'pause', enabled: true };
    case 'pausing':
      return { label: 'Pausing …', action: 'pause', enabled: false };
    case 'paused':
      return { label: 'Continue', action: 'continue', enabled: true };
    case 'finished':
      return { label: 'Join again', action: 'continue', enabled: true };
    case 'refused':
      return { label: 'Try again', action: 'continue', enabled: true };
    case 'failed':
      // The Web Worker may not even be there.
      return { label: 'Try again', action: 'reload', enabled: true };
  }
}

const ENGINE_NAMES: Readonly<Record<string, string>> = {
  wasm: 'WebAssembly',
  webgl: 'WebGL',
  webgpu: 'WebGPU',
};

function engineText({ backend, device, threads }: EngineInfo): string {
  const using = backend === 'wasm' ? `, using ${threads}` : '';
  return `${ENGINE_NAMES[backend] ?? backend} on ${device}${using}`;
}

const countdown = (ms: number): string => {
  const seconds = Math.ceil(ms / 1000);
  return seconds > 0 ? `Trying again in ${seconds} s.` : 'Trying again now.';
};

const rateText = (rate: number): string =>
  rate.toLocaleString('en-US', { maximumFractionDigits: rate < 10 ? 1 : 0 });

function stepText(step: number | null, steps: number | undefined): string {
  if (step === null) return '';
  const total = steps === undefined ? '' : ` of ${steps.toLocaleString('en-US')}`;
  return `Step ${step.toLocaleString('en-US')}${total}`;
}

/** Reasons come as sentences or as parts of one. */
function asSentence(reason: string): string {
  const text = reason.trim();
  if (text === '') return '';
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? '' : '.');
}

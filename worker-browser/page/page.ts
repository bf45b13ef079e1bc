import { systemClock } from '../../shared/util/clock.ts';
import { createBrowserConnections } from '../connect-websocket.ts';
import { watchPageLifecycle } from '../lifecycle/lifecycle.ts';
import type { FromCoordinator } from '../../shared/protocol/messages.ts';
import type { FromPage, FromTab } from '../tab-messages.ts';
import {
  inviteLink,
  isWatchOnly,
  socketUrl,
  tokenFromUrl,
  withToken,
  withWatchOnly,
  loadShare,
  saveShare,
} from './environment.ts';
import { browserName, cleanName, loadName, MAX_NAME_LENGTH, saveName, withoutName } from './tab-name.ts';
import { DrawingPad } from './drawing-pad.ts';
import { bindRadioGroup, element, oncePerFrame } from './dom.ts';
import { Invite, drawRun, drawTab, measureColumn, onMetricChoice } from './render.ts';
import { earlierRunsOf, loadRuns, saveRun } from './earlier-runs.ts';
import { celebrate } from './celebrate.ts';
import { Keep } from './keep.ts';
import { Plots } from './plots.ts';
import { reduceRun, initialRunState, type RunEvent } from './run-state.ts';
import { createRunView } from './run-view.ts';
import {
  reducePage,
  initialState,
  isParticipating,
  initialWatchState,
  type PageEvent,
  type PageState,
} from './page-state.ts';
import { createTimelineView } from './step-timeline.ts';
import { createTabView } from './tab-view.ts';
import { ThroughputPlot } from './throughput-plot.ts';
import { ThroughputHistory } from './throughput.ts';
import { TimelineChart } from './timeline-chart.ts';
import { readSamples } from './model-view.ts';
import { SamplesPanel } from './samples-panel.ts';
import { watchRun, type RunWatch } from '../../shared/observer/watch-run.ts';

/** Interval for texts that change with time, such as countdowns. */
const REDRAW_INTERVAL_MS = 1_000;

/** Interval for the weights of test samples, in a tab that does not compute: they are megabytes. */
const WEIGHTS_INTERVAL_MS = 10_000;

/** Time until a tab that does not compute loads an engine: its figures and curves come first. */
const READER_DELAY_MS = 3_000;

const url = socketUrl(location.href);
const token = tokenFromUrl(location.href);
let page: PageState = {
  ...(isWatchOnly(location.href) ? initialWatchState : initialState),
  hidden: document.hidden,
  hasToken: token !== undefined,
};
let run = initialRunState;
let computeShare = loadShare(() => localStorage);
let chosenName = loadName(location.href, () => localStorage);
let tab: Worker | null = null;
let watch: RunWatch | null = null;

/** The tab's Web Worker, started when it is first needed. */
function ensureTab(): Worker {
  if (tab !== null) return tab;
  tab = new Worker(new URL(TAB_WORKER_FILE + location.search, import.meta.url), { type: 'module' });
  tab.onmessage = ({ data }: MessageEvent<FromTab>) => {
    if (data.type === 'prediction') pad.show(data.probabilities);
    else if (data.type === 'samplePredictions') samplesPanel.show(data.values);
    else handle(data);
  };
  tab.onerror = ({ message }) => {
    // A tab that only watches may try again.
    if (page.phase.type === 'watching') tab = null;
    handle({ type: 'failed', reason: message || 'The browser could not load the Web Worker of this page.' });
  };
  return tab;
}
const postToTab = (message: FromPage): void => ensureTab().postMessage(message);

const plots = new Plots();
const timelineChart = new TimelineChart();
const throughput = new ThroughputHistory();
const throughputPlot = new ThroughputPlot();
const showsEarlier = element('earlier-runs', HTMLInputElement);
const pad = new DrawingPad((picture) => {
  if (tab === null && picture === null) return;
  postToTab({ type: 'picture', picture: document.hidden ? null : picture });
  requestWeights();
});

const samplesPanel = new SamplesPanel(() => {
  const samples = samplesPanel.wanted;
  if (tab === null && samples === null) return;
  const message = samples === null ? null : { inputs: samples.shard.inputs, count: samples.count };
  postToTab({ type: 'samples', samples: message });
  requestWeights();
});

/** Requests the weights for a drawing or for test samples, unless this tab contributes and so has them. */
function requestWeights(): void {
  const wantsPicture = !pad.isEmpty && !document.hidden;
  if (page.workerId === null && (wantsPicture || samplesPanel.wanted !== null)) watch?.requestWeights();
}

/** Loads engine and weights, so that drawings can be read after the coordinator has stopped. A contributing tab has both. */
function prepareReader(): void {
  if (isParticipating(page) || !pad.isUsable) return;
  postToTab({ type: 'prepareReader' });
  watch?.requestWeights();
}

const invite = new Invite();
const keep = new Keep(() => watch?.requestWeights());

function showTab(): void {
  const view = createTabView(page, performance.now());
  drawTab(view);
  const canInvite = run.job !== null && run.link.type !== 'over';
  const isAwaited = canInvite && page.watchOnly && run.curve.length === 0;
  const reason = view.invites ? 'busy' : isAwaited ? 'awaited' : null;
  invite.show(reason, inviteLink(location.href, run.addresses), canInvite || view.invites);
}

/** Metric that the person has chosen to see; null for the first one. */
let chosenMetric: string | null = null;

/** Waits while the tab is hidden: its figures are not visible, and drawing them would slow its shards. */
const showRun = oncePerFrame(() => {
  plots.show(run, chosenMetric);
  timelineChart.show(createTimelineView(run));
  throughputPlot.show(throughput.stack(run.lastOwnId));
  keep.show(run);
  drawRun(createRunView(run, chosenMetric));
});

/** Shows earlier runs with the same data behind this one. */
function showEarlierRuns(): void {
  const earlier = earlierRunsOf(
    loadRuns(() => localStorage),
    run,
  );
  element('earlier-label', HTMLElement).hidden = earlier.length === 0;
  element('earlier-legend', HTMLElement).hidden = earlier.length === 0 || !showsEarlier.checked;
  plots.earlier = showsEarlier.checked ? earlier : [];
}

function handle(event: PageEvent): void {
  const before = page;
  page = reducePage(page, event, performance.now());
  updateLifecycle();
  showTab();
  if (isParticipating(before) && !isParticipating(page)) prepareReader();
  if (before.workerId === page.workerId) return;
  run = reduceRun(run, { type: 'ownId', id: page.workerId });
  showRun();
  if (page.workerId === null) requestWeights();
}

function onRun(event: RunEvent): void {
  run = reduceRun(run, event);
  const isOver = run.link.type === 'over' && run.link.awaitsNextRun;
  if (page.isRunOver !== isOver) handle({ type: 'runOver', isOver });
  if (event.type === 'message') keepHistory(event.message);
  if (event.type === 'message' && event.message.type === 'run') {
    pad.setJob(event.message.job);
    pad.send();
    clock.after(READER_DELAY_MS, prepareReader);
    if (page.phase.type === 'finished' && run.restarted) {
      handle({ type: 'note', line: 'Another run has started. Join it to take part.' });
    }
  }
  if (event.type === 'message' && event.message.type === 'finished') prepareReader();
  if (event.type === 'locked') {
    const wasParticipating = isParticipating(page);
    handle({ type: 'locked' });
    // The worker's connection would be refused for the same reason.
    if (wasParticipating) postToTab({ type: 'pause' });
  }
  showRun();
}

/** Messages with progress since the page has known this run. One that is opened after its end gets a single one. */
let progressCount = 0;

/** Keeps what the page shows of the past: throughput in this page, the curves of runs in this browser. */
function keepHistory(message: FromCoordinator): void {
  if (message.type === 'run') {
    progressCount = 0;
    if (run.restarted) throughput.clear();
    showEarlierRuns();
  } else if (message.type === 'progress') {
    progressCount++;
    if (message.workers !== undefined) throughput.add(message.workers, performance.now());
  } else if (message.type === 'epoch' || message.type === 'finished') saveRun(() => localStorage, run);
  const isDone = message.type === 'finished' && run.epochs.length === run.job?.epochs;
  if (isDone && progressCount > 1) celebrate();
}

const clock = systemClock(globalThis);
const connections = createBrowserConnections(clock);

function startWatching(): void {
  watch = watchRun({
    url,
    token,
    connect: connections.connect,
    clock,
    random: Math.random,
    onEvent: onRun,
    onWeights(payload) {
      const { job } = run;
      if (job === null) return;
      keep.setWeights({ job, payload });
      // The weights of a contributing tab are newer, until the run is over.
      if (page.workerId !== null && run.link.type !== 'over') return;
      postToTab({ type: 'weights', job, payload });
      if (pad.isEmpty) return;
      requestWeights();
    },
    onDetails(message, payload) {
      if (run.job === null) return;
      keep.setNames(message.weightNames ?? [], message.classNames ?? []);
      samplesPanel.setSamples(readSamples(run.job, message, payload));
    },
  });
}

function join(): void {
  postToTab({ type: 'share', share: Number(computeShare) / 100 });
  postToTab({ type: 'join', url, name: chosenName || browserName(navigator.userAgent), token });
  if (run.link.type !== 'over') return;
  if (run.link.awaitsNextRun) watch?.retryNow();
  else startWatching();
}

function pause(): void {
  handle({ type: 'clickedPause' });
  postToTab({ type: 'pause' });
}

function resume(): void {
  setWatchOnly(false);
  handle({ type: 'clickedContinue' });
  join();
}

const updateLifecycle = watchPageLifecycle({
  isParticipating: () => isParticipating(page),
  isContributing: () => page.phase.type === 'contributing',
  pause,
  join() {
    if (!page.watchOnly) resume();
  },
  retryNow() {
    connections.checkLiveness();
    watch?.retryNow();
    tab?.postMessage({ type: 'retryNow' } satisfies FromPage);
  },
  note: (line) => handle({ type: 'note', line }),
});

function setWatchOnly(watchOnly: boolean): void {
  history.replaceState(null, '', withWatchOnly(location.href, watchOnly));
}

element('main-button', HTMLButtonElement).addEventListener('click', () => {
  const { button } = createTabView(page, performance.now());
  if (button?.enabled !== true) return;
  switch (button.action) {
    case 'pause':
      pause();
      return;
    case 'continue':
      resume();
      return;
    case 'reload':
      location.reload();
      return;
  }
});
element('watch-button', HTMLButtonElement).addEventListener('click', () => {
  setWatchOnly(true);
  handle({ type: 'clickedWatch' });
  postToTab({ type: 'pause' });
  // The watch button, which had the focus, is hidden now.
  element('main-button', HTMLButtonElement).focus();
});
element('token-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  const newToken = element('token', HTMLInputElement).value.trim();
  if (newToken === '') return;
  history.replaceState(null, '', withToken(location.href, newToken));
  location.reload();
});
const nameField = element('name', HTMLInputElement);
nameField.maxLength = MAX_NAME_LENGTH;
nameField.placeholder = browserName(navigator.userAgent);
nameField.value = chosenName;
nameField.addEventListener('change', () => {
  chosenName = cleanName(nameField.value);
  nameField.value = chosenName;
  saveName(() => localStorage, chosenName);
  // When the page is loaded again, the name in the address would be used in place of this one.
  history.replaceState(null, '', withoutName(location.href));
});
bindRadioGroup('share', (percent) => {
  computeShare = percent;
  saveShare(() => localStorage, percent);
  if (tab !== null) postToTab({ type: 'share', share: Number(percent) / 100 });
}).set(computeShare);
showsEarlier.addEventListener('change', showEarlierRuns);
onMetricChoice((metric) => {
  chosenMetric = metric;
  showRun();
});
// Browsers may restore another choice when the page is reloaded.
bindRadioGroup('axis', (axis) => (plots.axis = axis === 'epoch' ? 'epoch' : 'step')).set('step');

// The person has put another token into the address.
addEventListener('hashchange', () => location.reload());
for (const type of ['online', 'offline'] as const) {
  addEventListener(type, () => handle({ type: 'network', online: type === 'online' }));
}
document.addEventListener('visibilitychange', () => {
  handle({ type: 'visibility', hidden: document.hidden });
  showRun();
  pad.send();
  samplesPanel.update();
});

measureColumn();
setInterval(showTab, REDRAW_INTERVAL_MS);
setInterval(requestWeights, WEIGHTS_INTERVAL_MS);
showTab();
showRun();
startWatching();
if (!page.watchOnly) join();

import { contribute } from 'gradcast/browser';

// Coordinator of another origin: createCoordinator({ allowedOrigins: ['http://localhost:5173'] }).
const url = new URLSearchParams(location.search).get('coordinator') ?? 'http://localhost:2718';
const state = document.querySelector('#state');
const contribution = contribute(url, {
  name: 'Vite page',
  onStatus: (status) => (state.textContent = status.state),
  onProblem: (line) => console.warn(line),
});
document.querySelector('#pause').addEventListener('click', () => {
  if (contribution.status.state === 'paused') contribution.resume();
  else contribution.pause();
});

// The document's critical event: how long a high task waits for its start while low tasks flood the workers.
import { Trend, Counter } from 'k6/metrics';

import { numberFromEnvironment, rateFromEnvironment, secondsFromEnvironment, virtualUsers } from './lib/bounds.js';
import { runOptions } from './lib/run_options.js';
import { createTask, waitForTask } from './lib/task_api.js';

export { handleSummary } from './lib/figures.js';

const WAIT_SECONDS = 5;
const GIVE_UP_SECONDS = 60;

const seconds = secondsFromEnvironment({ fallback: 60 });
const floodRate = rateFromEnvironment({ name: 'FLOOD_RATE', fallback: 50 });
const floodRecords = numberFromEnvironment({ name: 'FLOOD_RECORDS', fallback: 1000, most: 10000000 });
const criticalRate = rateFromEnvironment({ name: 'RATE', fallback: 2 });
const startWithinMs = numberFromEnvironment({ name: 'START_MS', fallback: 1000, most: 600000 });
// The flood starts earlier, so that it is in the queue before the first high task arrives.
const headStartSeconds = numberFromEnvironment({ name: 'HEAD_START', fallback: 5, most: 600, least: 0 });

const timeToStart = new Trend('critical_time_to_start', true);
const timeToEnd = new Trend('critical_time_to_end', true);
const neverStarted = new Counter('critical_never_started');

export const options = runOptions({
  scenarios: {
    flood: {
      executor: 'constant-arrival-rate',
      exec: 'flood',
      rate: floodRate,
      timeUnit: '1s',
      duration: `${headStartSeconds + seconds}s`,
      ...virtualUsers({ rate: floodRate }),
    },
    critical: {
      executor: 'constant-arrival-rate',
      exec: 'critical',
      startTime: `${headStartSeconds}s`,
      rate: criticalRate,
      timeUnit: '1s',
      duration: `${seconds}s`,
      gracefulStop: `${GIVE_UP_SECONDS + WAIT_SECONDS}s`,
      ...virtualUsers({ rate: criticalRate, seconds: 10 }),
    },
  },
  thresholds: {
    critical_time_to_start: [`p(99)<${startWithinMs}`],
    critical_never_started: ['count==0'],
    http_req_failed: ['rate==0'],
    dropped_iterations: ['count==0'],
  },
});

export function flood() {
  createTask({ priority: 'low', numRecords: floodRecords });
}

export function critical() {
  const deadline = Date.now() + GIVE_UP_SECONDS * 1000;
  let task = createTask({ priority: 'high', numRecords: 1 });
  while (!task.endedAt && Date.now() < deadline) {
    const response = waitForTask({ id: task.id, waitSeconds: WAIT_SECONDS });
    if (response.status !== 200) {
      break;
    }
    task = response.json();
  }
  // Both timestamps are the API's own: the load generator's clock and the polling have no influence.
  if (!task.startedAt) {
    neverStarted.add(1);
    return;
  }
  timeToStart.add(Date.parse(task.startedAt) - Date.parse(task.createdAt));
  if (task.endedAt) {
    timeToEnd.add(Date.parse(task.endedAt) - Date.parse(task.createdAt));
  }
}

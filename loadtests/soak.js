// A long, constant load that shows growth: prints the mean of each tenth of the run.
import exec from 'k6/execution';

import { rateFromEnvironment, secondsFromEnvironment, virtualUsers } from './lib/bounds.js';
import { responsive, runOptions } from './lib/run_options.js';
import { getTask, idOfCreated, postTask } from './lib/task_api.js';

export { handleSummary } from './lib/figures.js';

const TENTHS = Array.from({ length: 10 }, (_, index) => String(index));

const rate = rateFromEnvironment({ fallback: 200 });
const seconds = secondsFromEnvironment({ fallback: 1800 });

const thresholds = Object.assign({}, responsive);
for (const tenth of TENTHS) {
  thresholds[`http_req_duration{tenth:${tenth}}`] = responsive.http_req_duration;
}

export const options = runOptions({
  scenarios: {
    soak: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: `${seconds}s`,
      gracefulStop: '15s',
      ...virtualUsers({ rate }),
    },
  },
  thresholds,
});

let newestId;

export default function () {
  exec.vu.metrics.tags.tenth = TENTHS[Math.min(9, Math.floor(exec.scenario.progress * 10))];
  if (newestId === undefined || exec.scenario.iterationInTest % 2 === 0) {
    newestId = idOfCreated(postTask()) || newestId;
    return;
  }
  getTask({ id: newestId });
}

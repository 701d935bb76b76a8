// The latency of GET /tasks/{id} for tasks that were started before.
import { numberFromEnvironment, rateFromEnvironment, secondsFromEnvironment, virtualUsers } from './lib/bounds.js';
import { responsive, runOptions } from './lib/run_options.js';
import { createTaskIds, getTask } from './lib/task_api.js';

export { handleSummary } from './lib/figures.js';

const rate = rateFromEnvironment({ fallback: 2000 });
const duration = `${secondsFromEnvironment({ fallback: 60 })}s`;
const count = numberFromEnvironment({ name: 'TASKS', fallback: 100, most: 10000 });

export const options = runOptions({
  scenarios: {
    status: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration,
      gracefulStop: '15s',
      ...virtualUsers({ rate }),
    },
  },
  thresholds: {
    'http_req_duration{scenario:status}': responsive.http_req_duration,
    http_req_failed: responsive.http_req_failed,
    dropped_iterations: responsive.dropped_iterations,
  },
});

export function setup() {
  return createTaskIds({ count });
}

export default function (ids) {
  getTask({ id: ids[Math.floor(Math.random() * ids.length)] });
}

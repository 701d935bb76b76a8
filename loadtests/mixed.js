// Nine of ten requests read a task's state, the tenth starts a task: the load of users who watch their tasks.
import exec from 'k6/execution';

import { numberFromEnvironment, rateFromEnvironment, secondsFromEnvironment, virtualUsers } from './lib/bounds.js';
import { responsive, runOptions } from './lib/run_options.js';
import { createTaskIds, getTask, idOfCreated, postTask } from './lib/task_api.js';

export { handleSummary } from './lib/figures.js';

const REQUESTS_PER_POST = 10;

const rate = rateFromEnvironment({ fallback: 2000 });
const duration = `${secondsFromEnvironment({ fallback: 60 })}s`;
const count = numberFromEnvironment({ name: 'TASKS', fallback: 100, most: 10000 });

export const options = runOptions({
  scenarios: {
    mixed: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration,
      gracefulStop: '15s',
      ...virtualUsers({ rate }),
    },
  },
  thresholds: {
    'http_req_duration{scenario:mixed}': responsive.http_req_duration,
    'http_req_duration{scenario:mixed,operation:get}': responsive.http_req_duration,
    'http_req_duration{scenario:mixed,operation:post}': responsive.http_req_duration,
    'http_reqs{scenario:mixed,operation:get}': ['count>=0'],
    'http_reqs{scenario:mixed,operation:post}': ['count>=0'],
    http_req_failed: responsive.http_req_failed,
    dropped_iterations: responsive.dropped_iterations,
  },
});

export function setup() {
  return createTaskIds({ count });
}

// The newest task of this virtual user: reading it at once is the hardest GET, because it may not be mirrored yet.
let newestId;

export default function (ids) {
  const iteration = exec.scenario.iterationInTest;
  if (iteration % REQUESTS_PER_POST === 0) {
    newestId = idOfCreated(postTask()) || newestId;
    return;
  }
  getTask({ id: newestId && iteration % 2 === 0 ? newestId : ids[iteration % ids.length] });
}

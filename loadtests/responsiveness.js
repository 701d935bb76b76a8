// The document's first challenge: POST /tasks takes less than 40 ms on average at 2,000 requests a second for a minute.
import { rateFromEnvironment, secondsFromEnvironment, virtualUsers } from './lib/bounds.js';
import { responsive, runOptions } from './lib/run_options.js';
import { postTask } from './lib/task_api.js';

export { handleSummary } from './lib/figures.js';

const rate = rateFromEnvironment({ fallback: 2000 });
const duration = `${secondsFromEnvironment({ fallback: 60 })}s`;

export const options = runOptions({
  scenarios: {
    responsiveness: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration,
      gracefulStop: '15s',
      ...virtualUsers({ rate }),
    },
  },
  thresholds: responsive,
});

export default function () {
  postTask();
}

// Owns the common options of all runs: loopback only, persistent connections, few tags, the printed trend figures.
import http from 'k6/http';

import { blacklistIPs } from './target.js';
import { expectedAnswers } from './task_api.js';

http.setResponseCallback(expectedAnswers);

export const MEAN_MS = Number(__ENV.MEAN_MS || 40);

export const responsive = {
  http_req_duration: [`avg<${MEAN_MS}`],
  http_req_failed: ['rate==0'],
  dropped_iterations: ['count==0'],
};

// k6 shares the machine with the system it measures: bodies are discarded and only the tags that thresholds use are kept.
export function runOptions({ scenarios, thresholds }) {
  return {
    scenarios,
    thresholds,
    blacklistIPs,
    noConnectionReuse: false,
    noVUConnectionReuse: false,
    discardResponseBodies: true,
    systemTags: ['status', 'scenario', 'error_code'],
    summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(95)', 'p(99)'],
  };
}

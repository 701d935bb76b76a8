// Owns the k6 metrics behind Artillery's figures and the names Artillery prints for them. k6 requires every metric to
// be declared before the run, under a name without dots; therefore each status code and kind of error has one from the start.
import { Counter, Gauge, Trend } from 'k6/metrics';

const STATUS_CODES = [
  100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402,
  403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431,
  451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 520, 521, 522, 523, 524,
];
const ERRORS_BY_K6_CODE = { 1050: 'ETIMEDOUT', 1101: 'ENOTFOUND', 1110: 'EBLOCKED', 1211: 'ETIMEDOUT', 1212: 'ECONNREFUSED', 1220: 'ECONNRESET' };
const OTHER = 'other';
const APDEX = ['apdex.satisfied', 'apdex.tolerated', 'apdex.frustrated'];

export const FAILED_CAPTURE = 'Failed capture or match';
export const FAILED_EXPECTATIONS = 'Failed expectations';

const counters = new Map();

function declareCounter({ name, metric }) {
  counters.set(name, new Counter(metric));
}

for (const code of STATUS_CODES.concat(OTHER)) {
  declareCounter({ name: `http.codes.${code}`, metric: `http_codes_${code}` });
}
for (const error of new Set(Object.values(ERRORS_BY_K6_CODE).concat(FAILED_CAPTURE, FAILED_EXPECTATIONS, OTHER))) {
  declareCounter({ name: `errors.${error}`, metric: `errors_${error.replace(/ /g, '_')}` });
}
for (const name of ['http.downloaded_bytes', 'http.requests', 'http.responses', 'plugins.expect.failed', 'plugins.expect.ok', ...APDEX]) {
  declareCounter({ name, metric: name.replace(/\./g, '_') });
}
for (const name of ['completed', 'created', 'failed']) {
  declareCounter({ name: `vusers.${name}`, metric: `vusers_${name}` });
}

export const trendMetrics = { 'http.response_time': 'http_response_time', 'vusers.session_length': 'vusers_session_length' };
const trends = new Map(Object.entries(trendMetrics).map(([name, metric]) => [name, new Trend(metric, true)]));

// A gauge stores its minimum and maximum: the times of the first and the last request, for http.request_rate.
const requestMoment = new Gauge('http_request_moment');

export function declareScenarios(names) {
  names.forEach((name, index) => {
    declareCounter({ name: `vusers.created_by_name.${name}`, metric: `vusers_created_by_name_${index}` });
  });
}

export function count(name, value = 1) {
  counters.get(name).add(value);
}

export function measure(name, value) {
  trends.get(name).add(value);
}

export function countRequest() {
  requestMoment.add(Date.now());
  count('http.requests');
}

export function countStatus(status) {
  count(counters.has(`http.codes.${status}`) ? `http.codes.${status}` : `http.codes.${OTHER}`);
}

export function countError(error) {
  count(counters.has(`errors.${error}`) ? `errors.${error}` : `errors.${OTHER}`);
}

export function countApdex({ milliseconds, satisfiedMs }) {
  count(APDEX[milliseconds <= satisfiedMs ? 0 : milliseconds <= 4 * satisfiedMs ? 1 : 2]);
}

export function errorName(k6Code) {
  return ERRORS_BY_K6_CODE[k6Code] || OTHER;
}

export function counterMetrics() {
  return Array.from(counters.keys()).map((name) => [name, counters.get(name).name]);
}

// Owns the requests to the task API: bodies, headers, ids and timestamps. Must not: know rates or thresholds.
import http from 'k6/http';

import { targetFromEnvironment } from './target.js';

const target = targetFromEnvironment();
const headers = Object.assign({ 'Content-Type': 'application/json' }, JSON.parse(__ENV.HEADERS || '{}'));

// Without NUM_RECORDS this is the original's body, byte for byte as its Artillery file sends it.
function taskBody({ priority, numRecords } = {}) {
  const task = { name: 'upload', description: 'user upload' };
  if (numRecords) {
    task.params = { numRecords: Number(numRecords) };
  }
  if (priority) {
    task.priority = priority;
  }
  return JSON.stringify(task);
}

const defaultBody = taskBody({ numRecords: __ENV.NUM_RECORDS });
const postParameters = { headers, tags: { operation: 'post' }, timeout: '10s' };
const postParametersWithBody = Object.assign({ responseType: 'text' }, postParameters);
const getParameters = { headers, tags: { operation: 'get' }, timeout: '10s' };

export const expectedAnswers = http.expectedStatuses(200, 201);

export function postTask() {
  return http.post(`${target}/tasks`, defaultBody, postParameters);
}

export function createTask({ priority, numRecords = __ENV.NUM_RECORDS } = {}) {
  const response = http.post(`${target}/tasks`, taskBody({ priority, numRecords }), postParametersWithBody);
  if (response.status !== 201) {
    throw new Error(`POST ${target}/tasks answered ${response.status} ${response.error}, not 201: is the system up?`);
  }
  return response.json();
}

export function createTaskIds({ count }) {
  const ids = [];
  for (let i = 0; i < count; i += 1) {
    ids.push(createTask().id);
  }
  return ids;
}

export function getTask({ id }) {
  return http.get(`${target}/tasks/${id}`, getParameters);
}

export function waitForTask({ id, waitSeconds }) {
  const parameters = {
    headers,
    tags: { operation: 'wait' },
    responseType: 'text',
    timeout: `${waitSeconds + 10}s`,
  };
  return http.get(`${target}/tasks/${id}?wait=${waitSeconds}`, parameters);
}

// An answer has the task's address in a header; reading it avoids parsing 2,000 bodies a second.
export function idOfCreated(response) {
  const location = response.headers.Location;
  return location ? location.replace(/\/+$/, '').split('/').pop() : undefined;
}

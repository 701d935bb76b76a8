// Owns one HTTP request of a flow: its content, its counters, and when it fails the virtual user.
import http from 'k6/http';

import { requireAllowedUrl } from '../target.js';
import { runCaptures, FailedCapture } from './capture.js';
import { expectationsOf, listOf } from './steps.js';
import { BODYLESS, failedExpectations } from './expect.js';
import * as measures from './measures.js';
import { render } from './template.js';

export class FailedVuser extends Error {}

function lowerCaseKeys(object) {
  return Object.fromEntries(Object.entries(object || {}).map(([key, value]) => [key.toLowerCase(), value]));
}

class Answer {
  constructor(response) {
    this.response = response;
    this.status = response.status;
    this.headers = lowerCaseKeys(response.headers);
  }

  header(name) {
    return this.headers[String(name).toLowerCase()] || '';
  }

  text() {
    return this.response.body || '';
  }

  json() {
    if (this.parsed === undefined) {
      try {
        this.parsed = JSON.parse(this.text());
      } catch (_) {
        this.parsed = null;
      }
    }
    return this.parsed;
  }

  bytes() {
    return Number(this.header('content-length')) || this.text().length;
  }
}

function queryString(values) {
  return Object.entries(values).map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
}

function addressOf({ request, settings, variables }) {
  const url = render(request.url, variables);
  const absolute = String(url).startsWith('/') ? settings.target + url : String(url);
  const query = request.qs ? queryString(render(request.qs, variables)) : '';
  return requireAllowedUrl(query === '' ? absolute : absolute + (absolute.includes('?') ? '&' : '?') + query);
}

function bodyOf({ request, headers, variables }) {
  if (request.json !== undefined) {
    headers['content-type'] = headers['content-type'] || 'application/json';
    return JSON.stringify(render(request.json, variables));
  }
  if (request.form !== undefined) {
    headers['content-type'] = headers['content-type'] || 'application/x-www-form-urlencoded';
    return queryString(render(request.form, variables));
  }
  return request.body === undefined ? null : String(render(request.body, variables));
}

// Regular expressions are JavaScript's, so an invalid one can be found only here, before the first request.
function requireRegexp({ regexp, flags }) {
  if (typeof regexp === 'string' && !regexp.includes('{{')) {
    try {
      new RegExp(regexp, flags);
    } catch (error) {
      throw new Error(`${JSON.stringify(regexp)} is not a regular expression: ${error.message}`);
    }
  }
}

// What is the same for all requests is computed once.
export function prepareRequest({ method, request }) {
  const expectations = expectationsOf(request.expect);
  const captures = listOf(request.capture);
  captures.forEach(requireRegexp);
  expectations.filter(({ type }) => type === 'matchesRegexp').forEach(({ wanted }) => requireRegexp({ regexp: wanted }));
  const needsBody = captures.some((capture) => capture.header === undefined) || expectations.some(({ type }) => !BODYLESS.includes(type));
  return { method: method.toUpperCase(), request, expectations, captures, responseType: needsBody ? 'text' : 'none' };
}

function judge({ prepared, response, settings, variables }) {
  if (response.status === 0) {
    const error = measures.errorName(response.error_code);
    measures.countError(error);
    throw new FailedVuser(`${prepared.method} ${prepared.request.url}: ${response.error}`);
  }
  const answer = new Answer(response);
  measures.countStatus(answer.status);
  measures.count('http.responses');
  measures.measure('http.response_time', response.timings.waiting);
  if (settings.apdexMs !== undefined) {
    measures.countApdex({ milliseconds: response.timings.duration, satisfiedMs: settings.apdexMs });
  }
  measures.count('http.downloaded_bytes', answer.bytes());
  try {
    runCaptures({ captures: prepared.captures, answer, variables });
  } catch (error) {
    if (error instanceof FailedCapture) {
      measures.countError(measures.FAILED_CAPTURE);
      throw new FailedVuser(error.message);
    }
    throw error;
  }
  judgeExpectations({ prepared, answer, settings, variables });
}

function judgeExpectations({ prepared, answer, settings, variables }) {
  const { expectations } = prepared;
  if (expectations.length === 0) {
    return;
  }
  const failed = failedExpectations({ expectations, answer, variables });
  measures.count('plugins.expect.ok', expectations.length - failed.length);
  measures.count('plugins.expect.failed', failed.length);
  if (failed.length > 0 && settings.failOnExpectations) {
    measures.countError(measures.FAILED_EXPECTATIONS);
    throw new FailedVuser(`${prepared.request.url} answered ${answer.status}, expected ${JSON.stringify(failed)}`);
  }
}

export async function sendRequest({ prepared, settings, variables, concurrent }) {
  const { method, request, responseType } = prepared;
  const headers = lowerCaseKeys(render({ ...settings.headers, ...lowerCaseKeys(request.headers) }, variables));
  const url = addressOf({ request, settings, variables });
  const body = bodyOf({ request, headers, variables });
  if (request.gzip === true) {
    headers['accept-encoding'] = headers['accept-encoding'] || 'gzip, deflate, br';
  }
  const parameters = {
    headers: Object.fromEntries(Object.entries(headers).map(([key, value]) => [key, String(value)])),
    responseType,
    timeout: `${settings.timeoutSeconds}s`,
    redirects: request.followRedirect === false ? 0 : 10,
    tags: { name: request.name || request.url },
  };
  measures.countRequest();
  const response = concurrent ? await http.asyncRequest(method, url, body, parameters) : http.request(method, url, body, parameters);
  judge({ prepared, response, settings, variables });
}

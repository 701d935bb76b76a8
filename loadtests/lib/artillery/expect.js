// Owns `expect`: the checks of Artillery's expect plugin, and the document's own `json` with nested values and types.
import { lookUp, render } from './template.js';

const TYPE_CHECKS = {
  Number: (value) => typeof value === 'number',
  String: (value) => typeof value === 'string',
  Boolean: (value) => typeof value === 'boolean',
  Array: (value) => Array.isArray(value),
  Object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
};

function isJson(contentType) {
  return /application\/(problem\+|ld\+)?json/.test(contentType);
}

function matchesStatus({ wanted, answer }) {
  return [].concat(wanted).some((status) => Number(status) === answer.status);
}

function hasProperty({ wanted, answer }) {
  return lookUp(wanted, answer.json()) !== undefined;
}

// The document's `json`: a mapping names the required keys (others are allowed); a type's name means any value of that type.
export function resembles(actual, wanted) {
  if (typeof wanted === 'string' && TYPE_CHECKS[wanted] !== undefined) {
    return TYPE_CHECKS[wanted](actual);
  }
  if (Array.isArray(wanted)) {
    return Array.isArray(actual) && actual.length === wanted.length && wanted.every((item, i) => resembles(actual[i], item));
  }
  if (typeof wanted === 'object' && wanted !== null) {
    return TYPE_CHECKS.Object(actual) && Object.keys(wanted).every((key) => resembles(actual[key], wanted[key]));
  }
  return actual === wanted;
}

export const EXPECTATIONS = {
  statusCode: matchesStatus,
  notStatusCode: (check) => !matchesStatus(check),
  contentType: ({ wanted, answer }) =>
    wanted === 'json'
      ? isJson(answer.header('content-type')) && typeof answer.json() === 'object' && answer.json() !== null
      : answer.header('content-type').toLowerCase() === String(wanted).toLowerCase(),
  hasProperty,
  notHasProperty: (check) => !hasProperty(check),
  equals: ({ wanted }) => [].concat(wanted).every((value) => String(value) === String([].concat(wanted)[0])),
  hasHeader: ({ wanted, answer }) => answer.header(wanted) !== '',
  headerEquals: ({ wanted, answer }) => answer.header(wanted[0]) === String(wanted[1]),
  matchesRegexp: ({ wanted, answer }) => new RegExp(wanted).test(answer.text()),
  json: ({ wanted, answer }) => resembles(answer.json(), wanted),
};

// These need no body: k6 may discard it.
export const BODYLESS = ['statusCode', 'notStatusCode', 'equals', 'hasHeader', 'headerEquals'];

export function failedExpectations({ expectations, answer, variables }) {
  return expectations.filter(({ type, wanted }) => !EXPECTATIONS[type]({ wanted: render(wanted, variables), answer }));
}

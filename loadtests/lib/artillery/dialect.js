// Owns which words of Artillery's language are spoken here. Everything else is refused before a request is sent:
// a word that is silently ignored makes two load generators measure two different things.
import { toSeconds } from './durations.js';
import { EXPECTATIONS } from './expect.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head'];
const WORDS = {
  file: ['config', 'scenarios'],
  config: ['target', 'phases', 'variables', 'defaults', 'http', 'timeout', 'plugins', 'mode', 'statsInterval', 'environments', 'ensure', 'apdex'],
  http: ['timeout', 'pool', 'maxSockets', 'extendedMetrics', 'defaults'],
  defaults: ['headers'],
  phase: ['name', 'duration', 'arrivalRate', 'rampTo', 'arrivalCount', 'maxVusers', 'pause', 'mode'],
  scenario: ['name', 'weight', 'flow', 'engine'],
  request: ['url', 'name', 'headers', 'json', 'body', 'form', 'qs', 'capture', 'expect', 'followRedirect', 'gzip'],
  capture: ['json', 'header', 'regexp', 'group', 'flags', 'as', 'strict'],
  loop: ['loop', 'count', 'over', 'loopValue', 'loopElement'],
  block: ['count', 'increment', 'holdFor', 'flow'],
};

function refuseUnknownWords({ object, kind, where }) {
  if (typeof object !== 'object' || object === null || Array.isArray(object)) {
    throw new Error(`${where} is ${JSON.stringify(object)}: a mapping is needed here`);
  }
  const unknown = Object.keys(object).filter((word) => !WORDS[kind].includes(word));
  if (unknown.length > 0) {
    throw new Error(`${where} has ${unknown.join(', ')}, which this runner does not know; it knows ${WORDS[kind].join(', ')}`);
  }
}

function requireList({ value, where }) {
  if (!Array.isArray(value) || value.length === 0) {
    throw new Error(`${where} is ${JSON.stringify(value)}: a list with at least one entry is needed`);
  }
  return value;
}

export function listOf(value) {
  return value === undefined ? [] : [].concat(value);
}

// A mapping {statusCode: 201, contentType: json} means the same as the list of its entries.
export function expectationsOf(expect) {
  const list = [];
  for (const entry of listOf(expect)) {
    for (const type of Object.keys(entry)) {
      list.push({ type, wanted: entry[type] });
    }
  }
  return list;
}

// The document's own loop: its list holds blocks that carry their count and their flow with them.
export function isBlock(step) {
  return step !== null && typeof step === 'object' && step.flow !== undefined;
}

export function methodOf(step) {
  return METHODS.find((method) => step[method] !== undefined);
}

function checkRequest({ request, where }) {
  refuseUnknownWords({ object: request, kind: 'request', where });
  if (typeof request.url !== 'string') {
    throw new Error(`${where} has no url: an URL must be specified`);
  }
  for (const capture of listOf(request.capture)) {
    refuseUnknownWords({ object: capture, kind: 'capture', where: `${where}.capture` });
    if (typeof capture.as !== 'string') {
      throw new Error(`${where}.capture has no "as": name the variable that takes the value`);
    }
  }
  for (const { type } of expectationsOf(request.expect)) {
    if (EXPECTATIONS[type] === undefined) {
      throw new Error(`${where}.expect has ${type}; known are ${Object.keys(EXPECTATIONS).join(', ')}`);
    }
  }
}

function checkBlock({ block, where }) {
  refuseUnknownWords({ object: block, kind: 'block', where });
  if (!Number.isInteger(block.count) || block.count < 1) {
    throw new Error(`${where}.count is ${JSON.stringify(block.count)}: give a whole number from 1`);
  }
  if (block.holdFor !== undefined && block.increment === undefined) {
    throw new Error(`${where} has holdFor without increment: how many requests per second does a step add?`);
  }
  if (block.increment !== undefined && !(block.increment > 0)) {
    throw new Error(`${where}.increment is ${JSON.stringify(block.increment)}: give the requests per second that a step adds`);
  }
  checkFlow({ flow: block.flow, where: `${where}.flow` });
}

function checkLoop({ step, where }) {
  refuseUnknownWords({ object: step, kind: 'loop', where });
  const steps = requireList({ value: listOf(step.loop), where });
  if (step.count === undefined && step.over === undefined && !steps.every(isBlock)) {
    throw new Error(`${where} has neither count nor over and would never end: give it a count`);
  }
  if (typeof step.count === 'number' && step.count < 0) {
    throw new Error(`${where}.count is ${step.count} and would never end: give a count from 0`);
  }
  checkFlow({ flow: steps, where });
}

function checkStep({ step, where }) {
  if (isBlock(step)) {
    checkBlock({ block: step, where });
  } else if (step.loop !== undefined) {
    checkLoop({ step, where: `${where}.loop` });
  } else if (step.think !== undefined || step.log !== undefined) {
    if (Object.keys(step).length !== 1) {
      throw new Error(`${where} is ${JSON.stringify(step)}: a step says one thing`);
    }
  } else {
    const method = methodOf(step);
    if (method === undefined || Object.keys(step).length !== 1) {
      throw new Error(`${where} is ${JSON.stringify(step)}; a step is one of ${METHODS.join(', ')}, loop, think, log`);
    }
    checkRequest({ request: step[method], where: `${where}.${method}` });
  }
}

function checkFlow({ flow, where }) {
  requireList({ value: flow, where }).forEach((step, index) => checkStep({ step, where: `${where}[${index}]` }));
}

function checkPhase({ phase, where }) {
  refuseUnknownWords({ object: phase, kind: 'phase', where });
  if (phase.mode !== undefined && phase.mode !== 'uniform') {
    throw new Error(`${where}.mode is ${phase.mode}: only uniform arrivals are known`);
  }
  for (const name of ['arrivalRate', 'arrivalCount', 'maxVusers']) {
    if (phase[name] !== undefined && !(Number.isInteger(Number(phase[name])) && Number(phase[name]) >= 0)) {
      throw new Error(`${where}.${name} is ${JSON.stringify(phase[name])}: give a whole number`);
    }
  }
  if (phase.pause === undefined && phase.duration === undefined) {
    throw new Error(`${where} has neither duration nor pause: how long does it last?`);
  }
  if (phase.pause === undefined && ['arrivalRate', 'arrivalCount', 'rampTo'].every((name) => phase[name] === undefined)) {
    throw new Error(`${where} has no arrivalRate, arrivalCount, rampTo or pause: who arrives?`);
  }
  toSeconds({ value: phase.pause === undefined ? phase.duration : phase.pause, name: `${where}.duration` });
}

export function checkFile(file) {
  refuseUnknownWords({ object: file, kind: 'file', where: 'the file' });
  refuseUnknownWords({ object: file.config, kind: 'config', where: 'config' });
  const http = file.config.http || {};
  refuseUnknownWords({ object: http, kind: 'http', where: 'config.http' });
  refuseUnknownWords({ object: http.defaults || {}, kind: 'defaults', where: 'config.http.defaults' });
  refuseUnknownWords({ object: file.config.defaults || {}, kind: 'defaults', where: 'config.defaults' });
  listOf(file.config.phases).forEach((phase, index) => checkPhase({ phase, where: `config.phases[${index}]` }));
  if (file.config.mode !== undefined && file.config.mode !== 'uniform') {
    throw new Error(`config.mode is ${file.config.mode}: only uniform arrivals are known`);
  }
  requireList({ value: file.scenarios, where: 'scenarios' }).forEach((scenario, index) => {
    const where = `scenarios[${index}]`;
    refuseUnknownWords({ object: scenario, kind: 'scenario', where });
    if (scenario.engine !== undefined && scenario.engine !== 'http') {
      throw new Error(`${where}.engine is ${scenario.engine}: only http is known`);
    }
    checkFlow({ flow: scenario.flow, where: `${where}.flow` });
  });
}

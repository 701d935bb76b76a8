// The document's second challenge: the rate rises step by step until a step's mean exceeds 40 ms; prints the limit.
import { numberFromEnvironment, rateFromEnvironment, requireBoundedRun, secondsFromEnvironment, virtualUsers } from './lib/bounds.js';
import { limitOf, ratePlan, stepResults, stepsTable, stepThresholds } from './lib/rate_steps.js';
import { MEAN_MS, runOptions } from './lib/run_options.js';
import { postTask } from './lib/task_api.js';

const firstRate = rateFromEnvironment({ name: 'START_RATE', fallback: 500 });
const stepRate = rateFromEnvironment({ name: 'STEP_RATE', fallback: 250 });
const lastRate = rateFromEnvironment({ name: 'MAX_RATE', fallback: 6000 });
const holdSeconds = secondsFromEnvironment({ name: 'HOLD', fallback: 10 });
const restSeconds = numberFromEnvironment({ name: 'REST', fallback: 3, most: 60, least: 0 });

const steps = ratePlan({ firstRate, stepRate, lastRate, holdSeconds, restSeconds });
requireBoundedRun({
  seconds: steps.length * (holdSeconds + restSeconds),
  arrivals: steps.reduce((sum, step) => sum + step.rate * holdSeconds, 0),
});

const scenarios = {};
const thresholds = {};
for (const step of steps) {
  scenarios[step.name] = {
    executor: 'constant-arrival-rate',
    startTime: `${step.startSeconds}s`,
    rate: step.rate,
    timeUnit: '1s',
    duration: `${holdSeconds}s`,
    gracefulStop: `${restSeconds}s`,
    ...virtualUsers({ rate: step.rate }),
  };
  Object.assign(thresholds, stepThresholds({ step, meanMs: MEAN_MS, endSeconds: step.startSeconds + holdSeconds }));
}

export const options = runOptions({ scenarios, thresholds });

export default function () {
  postTask();
}

export function handleSummary(data) {
  const results = stepResults({ steps, metrics: data.metrics, meanMs: MEAN_MS });
  const limit = limitOf(results);
  const report = { meanMs: MEAN_MS, holdSeconds, limit, steps: results };
  const outputs = { stdout: stepsTable({ results, limit, meanMs: MEAN_MS, lastRate }) };
  if (__ENV.OUT) {
    outputs[__ENV.OUT] = JSON.stringify(report, null, 2) + '\n';
  }
  return outputs;
}

// Runs an Artillery file with k6. `python -m loadtests artillery FILE` turns the YAML into the JSON that PLAN names.
import exec from 'k6/execution';

import { deckOf } from './lib/artillery/weights.js';
import { checkFile } from './lib/artillery/dialect.js';
import { compileFlow, estimateSeconds } from './lib/artillery/flow.js';
import { count, countError, declareScenarios, measure } from './lib/artillery/measures.js';
import { isDue, k6Scenarios, planPhases } from './lib/artillery/phases.js';
import { reportOf, reportText } from './lib/artillery/report.js';
import { FailedVuser } from './lib/artillery/request.js';
import { newUuid, render } from './lib/artillery/template.js';
import { numberFromEnvironment, requireBoundedRun } from './lib/bounds.js';
import { blacklistIPs, requireAllowedTarget } from './lib/target.js';

if (!__ENV.PLAN) {
  throw new Error('PLAN names no file: run `python -m loadtests artillery FILE`, which turns the YAML into it');
}
const file = JSON.parse(open(__ENV.PLAN));
checkFile(file);

const environment = { $env: __ENV, $processEnvironment: __ENV };
const config = render(file.config, environment);
const http = config.http || {};
const settings = {
  target: requireAllowedTarget(String(__ENV.TARGET || config.target || '')),
  headers: (http.defaults || {}).headers || (config.defaults || {}).headers || {},
  timeoutSeconds: Number(config.timeout || http.timeout || 10),
  // Artillery only counts a failed expectation unless its plugin is told to report it as an error. A load test whose
  // answers are wrong has failed: here that is the rule, and `reportFailuresAsErrors: false` the exception.
  failOnExpectations: ((config.plugins || {}).expect || {}).reportFailuresAsErrors !== false,
};
const names = file.scenarios.map((scenario, index) => scenario.name || String(index));
const deck = deckOf(
  file.scenarios.map(({ weight }) => {
    const value = weight === undefined ? 1 : parseInt(render(weight, { ...environment, ...config.variables }), 10);
    return Number.isFinite(value) ? value : 0;
  }),
);
const flows = file.scenarios.map((scenario) => compileFlow(scenario.flow));
const flowSeconds = Math.max(...file.scenarios.map((scenario) => estimateSeconds(scenario.flow)));
const phases = planPhases(config.phases);
const phasesByName = Object.fromEntries(phases.map((phase) => [phase.name, phase]));
const plannedVusers = phases.reduce((sum, phase) => sum + phase.arrivals, 0);

requireBoundedRun({ seconds: phases.reduce((sum, phase) => sum + phase.seconds, 0) + flowSeconds, arrivals: plannedVusers });
declareScenarios(names);

// Only maxVusers may turn virtual users away. Everywhere else, fewer than planned means that k6 could not keep up.
const thresholds = { vusers_failed: ['count==0'], plugins_expect_failed: ['count==0'] };
for (const phase of phases.filter(({ mostVusers, arrivals }) => mostVusers === undefined && arrivals > 0)) {
  thresholds[`vusers_created{scenario:${phase.name}}`] = [`count>=${phase.arrivals}`];
}

export const options = {
  scenarios: k6Scenarios({ phases, flowSeconds, mostVus: numberFromEnvironment({ name: 'MAX_VUS', fallback: 2000, most: 5000 }) }),
  thresholds,
  blacklistIPs,
  // Each of Artillery's virtual users opens its own connection, unless config.http.pool shares them.
  noVUConnectionReuse: http.pool === undefined,
  systemTags: ['status', 'scenario', 'name'],
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(95)', 'p(99)', 'count'],
};

function newVariables() {
  const variables = { target: settings.target, $uuid: newUuid(), ...environment };
  for (const [name, value] of Object.entries(config.variables || {})) {
    variables[name] = Array.isArray(value) ? value[Math.floor(Math.random() * value.length)] : value;
  }
  return variables;
}

export default async function () {
  const phase = phasesByName[exec.scenario.name];
  const arrival = exec.scenario.iterationInTest;
  if (!isDue({ phase, arrival, elapsedSeconds: (Date.now() - exec.scenario.startTime) / 1000 })) {
    return;
  }
  const scenario = deck[(phase.firstArrival + arrival) % deck.length];
  count('vusers.created');
  count(`vusers.created_by_name.${names[scenario]}`);
  const startedMs = exec.instance.currentTestRunDuration;
  try {
    await flows[scenario]({ settings, variables: newVariables(), concurrent: false });
  } catch (error) {
    count('vusers.failed');
    if (!(error instanceof FailedVuser)) {
      countError('other');
    }
    console.warn(`vuser of ${names[scenario]} failed: ${error.message}`);
    return;
  }
  count('vusers.completed');
  measure('vusers.session_length', exec.instance.currentTestRunDuration - startedMs);
}

export function handleSummary(data) {
  const report = reportOf({ metrics: data.metrics, plannedVusers });
  const outputs = { stdout: reportText({ report, seconds: data.state.testRunDurationMs / 1000, now: new Date() }) };
  if (__ENV.OUT) {
    outputs[__ENV.OUT] = JSON.stringify({ aggregate: report }, null, 2) + '\n';
  }
  return outputs;
}

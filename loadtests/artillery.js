// Runs an Artillery file with k6. `python -m loadtests artillery FILE` converts the YAML into the JSON file named by PLAN.
import exec from 'k6/execution';

import { deckOf } from './lib/artillery/weights.js';
import { compileFlow, estimateSeconds } from './lib/artillery/flow.js';
import { count, countError, declareScenarios, measure } from './lib/artillery/measures.js';
import { isDue, k6Scenarios, planPhases } from './lib/artillery/phases.js';
import { reportOf, reportText } from './lib/artillery/report.js';
import { FailedVuser } from './lib/artillery/request.js';
import { newUuid, render } from './lib/artillery/template.js';
import { numberFromEnvironment, requireBoundedRun } from './lib/bounds.js';
import { blacklistIPs, requireAllowedTarget } from './lib/target.js';

const environment = { $env: __ENV, $processEnvironment: __ENV };

function readSettings(config) {
  const http = config.http || {};
  const plugins = config.plugins || {};
  const apdex = config.apdex || plugins.apdex;
  return {
    target: requireAllowedTarget(String(__ENV.TARGET || config.target || '')),
    headers: (http.defaults || {}).headers || (config.defaults || {}).headers || {},
    timeoutSeconds: Number(config.timeout || http.timeout || 10),
    connections: http.pool === undefined ? undefined : Number(http.pool),
    apdexMs: apdex && Number((config.apdex || {}).threshold || (plugins.apdex || {}).threshold || 500),
    // By default Artillery only counts a failed expectation. Here it fails the run, because a load test with wrong
    // answers has failed; `reportFailuresAsErrors: false` restores Artillery's default.
    failOnExpectations: (plugins.expect || {}).reportFailuresAsErrors !== false,
  };
}

function deckOfScenarios({ scenarios, variables }) {
  return deckOf(
    scenarios.map(({ weight }) => {
      const value = weight === undefined ? 1 : parseInt(render(weight, { ...environment, ...variables }), 10);
      return value > 0 ? value : 0;
    }),
  );
}

function thresholdsOf(phases) {
  const thresholds = { plugins_expect_failed: ['count==0'] };
  // If the file has `ensure`, its checks decide how many virtual users may fail.
  if (!__ENV.JUDGED_BY_CHECKS) {
    thresholds.vusers_failed = ['count==0'];
  }
  // Only maxVusers may refuse virtual users. Otherwise fewer than planned means that k6 could not keep up.
  for (const phase of phases.filter(({ mostVusers, arrivals }) => mostVusers === undefined && arrivals > 0)) {
    thresholds[`vusers_created{scenario:${phase.name}}`] = [`count>=${phase.arrivals}`];
  }
  return thresholds;
}

function prepareRun() {
  if (!__ENV.PLAN) {
    throw new Error('PLAN names no file: run `python -m loadtests artillery FILE`, which converts the YAML into one');
  }
  const file = JSON.parse(open(__ENV.PLAN));
  const config = render(file.config, environment);
  const settings = readSettings(config);
  const phases = planPhases(config.phases);
  const flowSeconds = Math.max(...file.scenarios.map((scenario) => estimateSeconds(scenario.flow)));
  const plannedVusers = phases.reduce((sum, phase) => sum + phase.arrivals, 0);
  requireBoundedRun({ seconds: phases.reduce((sum, phase) => sum + phase.seconds, 0) + flowSeconds, arrivals: plannedVusers });
  const mostVus = Math.min(numberFromEnvironment({ name: 'MAX_VUS', fallback: 2000, most: 5000 }), settings.connections || Infinity);
  return {
    settings,
    variables: config.variables || {},
    names: file.scenarios.map((scenario, index) => scenario.name || String(index)),
    deck: deckOfScenarios({ scenarios: file.scenarios, variables: config.variables }),
    flows: file.scenarios.map((scenario) => compileFlow(scenario.flow)),
    phasesByName: Object.fromEntries(phases.map((phase) => [phase.name, phase])),
    plannedVusers,
    options: {
      scenarios: k6Scenarios({ phases, flowSeconds, mostVus }),
      thresholds: thresholdsOf(phases),
      blacklistIPs,
      // Each of Artillery's virtual users opens its own connection, unless config.http.pool shares them.
      noVUConnectionReuse: settings.connections === undefined,
      systemTags: ['status', 'scenario', 'name'],
      summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(75)', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)', 'count'],
    },
  };
}

function prepareOrStop() {
  try {
    return prepareRun();
  } catch (error) {
    throw error.message; // k6 prints an Error with its stack, but the file's author needs the message only
  }
}

const run = prepareOrStop();
export const options = run.options;
declareScenarios(run.names);

function newVariables() {
  const variables = { target: run.settings.target, $uuid: newUuid(), ...environment };
  for (const [name, value] of Object.entries(run.variables)) {
    variables[name] = Array.isArray(value) ? value[Math.floor(Math.random() * value.length)] : value;
  }
  return variables;
}

export default async function () {
  const phase = run.phasesByName[exec.scenario.name];
  const arrival = exec.scenario.iterationInTest;
  if (!isDue({ phase, arrival, elapsedSeconds: (Date.now() - exec.scenario.startTime) / 1000 })) {
    return;
  }
  const scenario = run.deck[(phase.firstArrival + arrival) % run.deck.length];
  const name = run.names[scenario];
  count('vusers.created');
  count(`vusers.created_by_name.${name}`);
  const startedMs = exec.instance.currentTestRunDuration;
  try {
    await run.flows[scenario]({ settings: run.settings, variables: newVariables(), concurrent: false });
  } catch (error) {
    count('vusers.failed');
    if (!(error instanceof FailedVuser)) {
      countError('other');
    }
    console.warn(`vuser of ${name} failed: ${error.message}`);
    return;
  }
  count('vusers.completed');
  measure('vusers.session_length', exec.instance.currentTestRunDuration - startedMs);
}

export function handleSummary(data) {
  const report = reportOf({ metrics: data.metrics, plannedVusers: run.plannedVusers });
  const outputs = { stdout: reportText({ report, seconds: data.state.testRunDurationMs / 1000, now: new Date() }) };
  if (__ENV.OUT) {
    outputs[__ENV.OUT] = JSON.stringify({ aggregate: report }, null, 2) + '\n';
  }
  return outputs;
}

// Owns the steps of max_rate.js: their plan, when a step fails, and their figures in a summary. Must not: send a request.

export function ratePlan({ firstRate, stepRate, lastRate, holdSeconds, restSeconds }) {
  const steps = [];
  for (let rate = firstRate; rate <= lastRate; rate += stepRate) {
    const index = steps.length;
    steps.push({ name: `step_${index}`, rate, startSeconds: index * (holdSeconds + restSeconds) });
  }
  if (steps.length === 0) {
    throw new Error(`START_RATE ${firstRate} is above MAX_RATE ${lastRate}: lower it`);
  }
  return steps;
}

// A step is judged after its end; a failed one ends the run during the following rest.
export function stepThresholds({ step, meanMs, endSeconds }) {
  const judge = (threshold) => [{ threshold, abortOnFail: true, delayAbortEval: `${endSeconds}s` }];
  return {
    [`http_req_duration{scenario:${step.name}}`]: judge(`avg<=${meanMs}`),
    [`http_req_failed{scenario:${step.name}}`]: judge('rate==0'),
    [`dropped_iterations{scenario:${step.name}}`]: judge('count==0'),
    [`http_reqs{scenario:${step.name}}`]: ['count>=0'],
  };
}

function valuesOf(metrics, metric, step) {
  const found = metrics[`${metric}{scenario:${step.name}}`];
  return found ? found.values : {};
}

export function stepResults({ steps, metrics, meanMs }) {
  const results = [];
  for (const step of steps) {
    const requests = valuesOf(metrics, 'http_reqs', step).count || 0;
    const dropped = valuesOf(metrics, 'dropped_iterations', step).count || 0;
    if (requests === 0 && dropped === 0) {
      break;
    }
    const duration = valuesOf(metrics, 'http_req_duration', step);
    const failed = valuesOf(metrics, 'http_req_failed', step).passes || 0;
    results.push({
      rate: step.rate,
      requests,
      failed,
      dropped,
      mean: duration.avg,
      median: duration.med,
      p95: duration['p(95)'],
      p99: duration['p(99)'],
      max: duration.max,
      held: requests > 0 && duration.avg <= meanMs && failed === 0 && dropped === 0,
    });
  }
  const firstFailure = results.findIndex((result) => !result.held);
  // Requests of a step after the failed one are not meaningful.
  return firstFailure === -1 ? results : results.slice(0, firstFailure + 1);
}

export function limitOf(results) {
  return results.reduce((limit, result) => (result.held ? Math.max(limit, result.rate) : limit), 0);
}

function cell(value, width) {
  return (typeof value === 'number' ? String(Math.round(value * 10) / 10) : String(value)).padStart(width);
}

export function stepsTable({ results, limit, meanMs, lastRate }) {
  const widths = [8, 10, 8, 8, 9, 9, 9, 9];
  const row = (values) => values.map((value, index) => cell(value, widths[index])).join('');
  const lines = [row(['rate/s', 'requests', 'failed', 'dropped', 'mean ms', 'median', 'p95', 'p99'])];
  for (const result of results) {
    const { rate, requests, failed, dropped, mean, median, p95, p99, held } = result;
    lines.push(row([rate, requests, failed, dropped, mean, median, p95, p99]) + (held ? '' : '  <- not held'));
  }
  const allHeld = results.every((result) => result.held);
  lines.push('', `limit: ${limit} requests/s at a mean of ${meanMs} ms` + (allHeld ? ` or more (MAX_RATE is ${lastRate})` : ''), '');
  return lines.join('\n');
}

// Owns the output at the end of a run, and the same figures as JSON in the file OUT. Must not: judge; the thresholds do.

const SHOWN = /^(http_req_duration|http_req_failed|http_reqs|dropped_iterations|vus_max|critical_)/;

function round(value) {
  return Math.round(value * 1000) / 1000;
}

function figuresOf(data) {
  const metrics = {};
  const failed = [];
  for (const [name, { values, thresholds }] of Object.entries(data.metrics)) {
    metrics[name] = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, round(value)]));
    for (const [threshold, { ok }] of Object.entries(thresholds || {})) {
      if (!ok) {
        failed.push(`${name}: ${threshold}`);
      }
    }
  }
  return { seconds: round(data.state.testRunDurationMs / 1000), failedThresholds: failed, metrics };
}

const ORDER = ['count', 'rate', 'passes', 'fails', 'avg', 'min', 'med', 'p(95)', 'p(99)', 'max', 'value'];

function line(name, values) {
  const figures = ORDER.filter((key) => values[key] !== undefined).map((key) => `${key}=${values[key]}`);
  return `${name.padEnd(52)} ${figures.join('  ')}`;
}

export function handleSummary(data) {
  const figures = figuresOf(data);
  const lines = Object.keys(figures.metrics)
    .filter((name) => SHOWN.test(name))
    .sort()
    .map((name) => line(name, figures.metrics[name]));
  const verdict = figures.failedThresholds.map((threshold) => `NOT MET  ${threshold}`);
  const outputs = { stdout: lines.concat('', verdict.length > 0 ? verdict : ['all thresholds met'], '').join('\n') };
  if (__ENV.OUT) {
    outputs[__ENV.OUT] = JSON.stringify(figures, null, 2) + '\n';
  }
  return outputs;
}

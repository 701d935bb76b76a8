// Owns the summary: Artillery's own figures under Artillery's own names, as text and as its --output JSON.
import { counterMetrics, trendMetrics } from './measures.js';

const NAME_WIDTH = 79;
const ALWAYS_SHOWN = ['vusers.failed'];

function round(value, digits = 1) {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

function summaryOf(values) {
  return {
    min: round(values.min),
    max: round(values.max),
    count: values.count,
    mean: round(values.avg),
    p50: round(values.med),
    median: round(values.med),
    p75: round(values['p(75)']),
    p90: round(values['p(90)']),
    p95: round(values['p(95)']),
    p99: round(values['p(99)']),
    p999: round(values['p(99.9)']),
  };
}

export function reportOf({ metrics, plannedVusers }) {
  const valuesOf = (metric) => (metrics[metric] ? metrics[metric].values : undefined);
  const counters = {};
  for (const [name, metric] of counterMetrics()) {
    const value = valuesOf(metric) ? valuesOf(metric).count : 0;
    if (value > 0 || ALWAYS_SHOWN.includes(name)) {
      counters[name] = value;
    }
  }
  const skipped = plannedVusers - (counters['vusers.created'] || 0);
  if (skipped > 0) {
    counters['vusers.skipped'] = skipped;
  }
  const summaries = {};
  for (const [name, metric] of Object.entries(trendMetrics)) {
    if (valuesOf(metric) && valuesOf(metric).count > 0) {
      summaries[name] = summaryOf(valuesOf(metric));
    }
  }
  const rates = {};
  const moments = valuesOf('http_request_moment');
  if (moments && counters['http.requests']) {
    const seconds = Math.max(1, (moments.max - moments.min) / 1000);
    rates['http.request_rate'] = round(counters['http.requests'] / seconds, 0);
  }
  return { counters, rates, summaries };
}

function line(name, value) {
  const shown = name.length > NAME_WIDTH ? `${name.slice(0, NAME_WIDTH - 3)}...` : name;
  return `${shown} ${'.'.repeat(NAME_WIDTH - shown.length)} ${value}`;
}

function linesOf(name, { counters, rates, summaries }) {
  if (counters[name] !== undefined) {
    return [line(`${name}:`, counters[name])];
  }
  if (rates[name] !== undefined) {
    return [line(`${name}:`, `${rates[name]}/sec`)];
  }
  const figures = ['min', 'max', 'mean', 'median', 'p95', 'p99'];
  return [`${name}:`].concat(figures.map((figure) => line(`  ${figure}:`, summaries[name][figure])));
}

export function reportText({ report, seconds, now }) {
  const names = [report.counters, report.rates, report.summaries].flatMap(Object.keys).sort();
  const two = (value) => String(value).padStart(2, '0');
  const zone = -now.getTimezoneOffset();
  const offset = `${zone < 0 ? '-' : '+'}${two(Math.floor(Math.abs(zone) / 60))}${two(Math.abs(zone) % 60)}`;
  const clock = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(':');
  const title = `Summary report @ ${clock}(${offset})`;
  const rule = '-'.repeat(title.length);
  const head = [`All VUs finished. Total time: ${Math.round(seconds)} seconds`, '', rule, title, rule, ''];
  return head.concat(...names.map((name) => linesOf(name, report)), '').join('\n');
}

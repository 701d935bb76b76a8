// Owns the arithmetic of phases: the number and times of arriving virtual users. Counts equal those of one Artillery worker.
import { toSeconds } from './durations.js';

const DEFAULT_PHASES = [{ duration: 1, arrivalCount: 1 }];
const MOMENT_SECONDS = 0.05;

// Artillery raises the rate once a second: second i of a ramp has the interpolated rate, rounded.
export function rampRates({ from, to, seconds }) {
  if (seconds <= 1) {
    return [Math.round((from + to) / 2)];
  }
  const rates = [];
  for (let i = 0; i < seconds; i += 1) {
    rates.push(Math.floor(((to - from) / (seconds - 1)) * i + from + 0.5));
  }
  return rates;
}

function plannedPhase(phase) {
  const number = (name) => (phase[name] === undefined ? undefined : Number(phase[name]));
  if (phase.pause !== undefined) {
    return { seconds: toSeconds({ value: phase.pause, name: 'pause' }), arrivals: 0, peakRate: 0 };
  }
  const seconds = toSeconds({ value: phase.duration, name: 'duration' });
  if (phase.rampTo !== undefined) {
    const rates = rampRates({ from: number('arrivalRate') || 0, to: number('rampTo'), seconds });
    return {
      seconds: rates.length,
      rates,
      arrivals: rates.reduce((sum, rate) => sum + rate, 0),
      peakRate: Math.max(...rates),
    };
  }
  const arrivals = phase.arrivalCount === undefined ? Math.floor(number('arrivalRate') * seconds + 1e-6) : number('arrivalCount');
  return { seconds, arrivals, peakRate: seconds > 0 ? arrivals / seconds : arrivals };
}

export function planPhases(phases) {
  let startSeconds = 0;
  let firstArrival = 0;
  return (phases === undefined || phases.length === 0 ? DEFAULT_PHASES : phases).map((phase, index) => {
    const planned = plannedPhase(phase);
    Object.assign(planned, {
      name: `phase_${index}`,
      startSeconds,
      firstArrival,
      mostVusers: phase.maxVusers === undefined ? undefined : Number(phase.maxVusers),
    });
    startSeconds += planned.seconds;
    firstArrival += planned.arrivals;
    return planned;
  });
}

// k6 may start one arrival too many, and loses the last ones if they are due as the phase ends. Therefore each phase lasts
// slightly longer (k6 requires at least a second), and `isDue` refuses arrivals beyond its count.
function executorOf(phase) {
  if (phase.rates === undefined) {
    return {
      executor: 'constant-arrival-rate',
      rate: phase.arrivals,
      timeUnit: milliseconds(phase.seconds),
      duration: milliseconds(Math.max(1, phase.seconds + MOMENT_SECONDS)),
    };
  }
  const stages = [];
  for (const rate of phase.rates) {
    stages.push({ target: rate, duration: '0s' }, { target: rate, duration: '1s' });
  }
  stages.push({ target: phase.rates[phase.rates.length - 1], duration: milliseconds(MOMENT_SECONDS) });
  return { executor: 'ramping-arrival-rate', startRate: phase.rates[0], timeUnit: '1s', stages };
}

function milliseconds(seconds) {
  return `${Math.round(seconds * 1e6) / 1e3}ms`;
}

// If maxVusers refuses arrivals, no later one may replace them: then the time counts too.
export function isDue({ phase, arrival, elapsedSeconds }) {
  const lastSeconds = phase.seconds - phase.seconds / phase.arrivals / 2;
  return arrival < phase.arrivals && (phase.mostVusers === undefined || elapsedSeconds < lastSeconds);
}

export function k6Scenarios({ phases, flowSeconds, mostVus }) {
  const scenarios = {};
  for (const phase of phases.filter(({ arrivals }) => arrivals > 0)) {
    const needed = Math.ceil(phase.peakRate * Math.max(flowSeconds, 0.25)) + 2;
    const preAllocatedVUs = phase.mostVusers || Math.max(1, Math.min(needed, phase.arrivals + 1, mostVus));
    const timing = { startTime: milliseconds(phase.startSeconds) };
    if (phase.arrivals === 1) {
      // There is no other arrival, so the phase need not last longer: the run ends with this flow.
      const maxDuration = `${Math.ceil(flowSeconds * 2) + 60}s`;
      scenarios[phase.name] = { executor: 'per-vu-iterations', vus: 1, iterations: 1, maxDuration, ...timing };
      continue;
    }
    scenarios[phase.name] = {
      ...executorOf(phase),
      ...timing,
      gracefulStop: `${Math.ceil(flowSeconds) + 15}s`,
      preAllocatedVUs,
      maxVUs: phase.mostVusers || Math.max(preAllocatedVUs, Math.min(preAllocatedVUs * 2, phase.arrivals + 1, mostVus)),
    };
  }
  return scenarios;
}

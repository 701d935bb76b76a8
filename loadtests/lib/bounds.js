// Owns the numbers that a run reads from the environment, and their limits, which keep every run short.

const LIMITS = {
  seconds: 4 * 3600,
  rate: 20000,
  vus: 5000,
  arrivals: 20000000,
};

export function numberFromEnvironment({ name, fallback, most, least = 1 }) {
  const text = __ENV[name];
  const value = text === undefined || text === '' ? fallback : Number(text);
  return requireWithin({ name, value, most, least });
}

export function secondsFromEnvironment({ name = 'DURATION', fallback }) {
  return numberFromEnvironment({ name, fallback, most: LIMITS.seconds });
}

export function rateFromEnvironment({ name = 'RATE', fallback }) {
  return numberFromEnvironment({ name, fallback, most: LIMITS.rate });
}

export function requireWithin({ name, value, most, least = 1 }) {
  if (!Number.isFinite(value) || value < least || value > most) {
    throw new Error(`${name} is ${value}: give a number from ${least} to ${most}`);
  }
  return value;
}

export function requireBoundedRun({ seconds, arrivals }) {
  requireWithin({ name: 'the length of the run in seconds', value: seconds, most: LIMITS.seconds, least: 0 });
  requireWithin({ name: 'the number of arrivals', value: arrivals, most: LIMITS.arrivals });
}

// The virtual users that sustain a rate while requests take a quarter of a second: far above the goal of 40 ms, so that a
// short stall delays requests instead of dropping them, and a system beyond its limit still shows dropped iterations.
export function virtualUsers({ rate, seconds = 0.25 }) {
  const fallback = Math.min(Math.ceil(rate * seconds) + 5, LIMITS.vus);
  const preAllocatedVUs = numberFromEnvironment({ name: 'VUS', fallback, most: LIMITS.vus });
  return { preAllocatedVUs, maxVUs: Math.min(preAllocatedVUs * 2, LIMITS.vus) };
}

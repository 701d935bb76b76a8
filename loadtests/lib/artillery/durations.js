// Owns how an Artillery file writes a length of time: seconds as a number, or "500ms", "3s", "2m", "1h".

const UNIT_SECONDS = { ms: 0.001, s: 1, sec: 1, second: 1, m: 60, min: 60, minute: 60, h: 3600, hour: 3600, d: 86400, day: 86400 };
const WITH_UNIT = /^(\d+(?:\.\d+)?)\s*(ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)?$/i;

export function toSeconds({ value, name }) {
  const match = WITH_UNIT.exec(String(value).trim());
  if (match === null) {
    throw new Error(`${name} is ${JSON.stringify(value)}: give seconds (3) or a length with its unit ("500ms", "3s", "2m")`);
  }
  const unit = (match[2] || 's').toLowerCase();
  return Number(match[1]) * (UNIT_SECONDS[unit] || UNIT_SECONDS[unit.replace(/s$/, '')]);
}

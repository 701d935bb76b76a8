// Owns the allowed targets: this machine only, unless LOADTESTS_ALLOW_HOST names another host. Must not: send a request.

const LOOPBACK_HOSTS = ['127.0.0.1', 'localhost', '[::1]'];
const ABSOLUTE_URL = /^https?:\/\/(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d+)?(?:[/?#]|$)/i;

// All addresses except 127.0.0.0/8, and all routable ones of IPv6: k6 itself then refuses redirects and DNS answers to them.
const FOREIGN_RANGES = [
  '0.0.0.0/2', '64.0.0.0/3', '96.0.0.0/4', '112.0.0.0/5', '120.0.0.0/6', '124.0.0.0/7', '126.0.0.0/8', '128.0.0.0/1',
  '2000::/3', 'fc00::/7', 'fe80::/10',
];

const allowedHosts = (__ENV.LOADTESTS_ALLOW_HOST || '')
  .split(',')
  .map((host) => host.trim().toLowerCase())
  .filter((host) => host !== '');

export const blacklistIPs = allowedHosts.length === 0 ? FOREIGN_RANGES : [];

export function requireAllowedUrl(url) {
  const match = ABSOLUTE_URL.exec(url);
  if (match === null) {
    throw new Error(`target ${JSON.stringify(url)} is not an http(s) URL of the form http://host:port/path (without user name)`);
  }
  const host = match[1].toLowerCase();
  if (!LOOPBACK_HOSTS.includes(host) && !allowedHosts.includes(host)) {
    throw new Error(
      `target ${JSON.stringify(url)} is not this machine (${LOOPBACK_HOSTS.join(', ')}); ` +
        `to put load on ${host} on purpose, set LOADTESTS_ALLOW_HOST=${host}`,
    );
  }
  return url;
}

export function requireAllowedTarget(url) {
  return requireAllowedUrl(url.trim()).replace(/\/+$/, '');
}

export function targetFromEnvironment() {
  return requireAllowedTarget(__ENV.TARGET || 'http://127.0.0.1:3000');
}

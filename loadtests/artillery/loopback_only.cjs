// Keeps Artillery on this machine (NODE_OPTIONS="--require …"): it reports each run to a remote server; with
// ARTILLERY_DISABLE_TELEMETRY too, with fewer data. Without the reporting client, no report is sent and no name resolved.
'use strict';

const dns = require('node:dns');
const Module = require('node:module');

const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '::1'];
const { lookup } = dns;
const load = Module._load;

Module._load = function (request, ...rest) {
  if (request === 'posthog-node') {
    throw new Error('no telemetry here');
  }
  return load.call(this, request, ...rest);
};

dns.lookup = function (host, options, callback) {
  if (LOOPBACK_HOSTS.includes(host)) {
    return lookup.call(dns, host, options, callback);
  }
  const done = callback || options;
  return process.nextTick(done, Object.assign(new Error(`${host} is not this machine`), { code: 'ENOTFOUND' }));
};

// The API client. Owns the token, which is in memory only: no storage, no cookie. Dispatches an event for each call.

import { settings, words } from "./words.js";

const TIMEOUT_MS = 30_000;

export class Problem extends Error {
  constructor(message, { status = 0, errors = [], retryAfterSeconds = 0 } = {}) {
    super(message);
    this.status = status;
    this.isOfApi = status > 0;
    this.errors = errors;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

export class Api extends EventTarget {
  #token = "";

  get hasToken() {
    return this.#token !== "";
  }

  // Returns whether the text can be a token: a header allows visible ASCII only.
  useToken(text) {
    const token = text.trim();
    this.#token = /^[\x21-\x7e]+$/.test(token) ? token : "";
    return this.hasToken;
  }

  forgetToken() {
    this.#token = "";
  }

  get(path) {
    return this.call("GET", settings.prefix + path);
  }

  post(path, body) {
    return this.call("POST", settings.prefix + path, body);
  }

  // `address` starts with the prefix, like all links of the API. Throws Problem.
  async call(method, address, body) {
    const headers = { Accept: "application/json" };
    const token = this.#token;
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const made = { method, address, body: sent, hasToken: this.hasToken, status: 0 };
    try {
      const response = await this.#fetch(address, { method, headers, body: sent });
      made.status = response.status;
      const data = await response.json().catch(() => null);
      if (response.ok && data !== null) return data;
      throw toProblem(response, data);
    } finally {
      this.dispatchEvent(new CustomEvent("call", { detail: made }));
      if (made.status === 401 && token === this.#token) this.dispatchEvent(new Event("refused"));
    }
  }

  // EventSource makes its own request. The shown call omits the ticket.
  reportStream() {
    const detail = { method: "GET", address: `${settings.prefix}/stream`, hasToken: this.hasToken, status: 200, isStream: true };
    this.dispatchEvent(new CustomEvent("call", { detail }));
  }

  async #fetch(address, options) {
    try {
      return await fetch(address, { ...options, credentials: "omit", signal: AbortSignal.timeout(TIMEOUT_MS) });
    } catch {
      throw new Problem(words.noAnswer);
    }
  }
}

function toProblem(response, data) {
  const retryAfterSeconds = Number(response.headers.get("Retry-After")) || 0;
  if (response.ok || typeof data?.detail !== "string") return new Problem(`HTTP ${response.status}`, { status: response.status });
  return new Problem(data.detail, { status: response.status, errors: data.errors ?? [], retryAfterSeconds });
}

// The one way to the API. Owns the token, which is in memory only: no storage, no cookie. Tells of each call by events.

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

  // Returns whether it may be a token at all: a header takes visible ASCII only.
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

  // `address` begins with the prefix, as all that the API links to. Throws Problem.
  async call(method, address, body) {
    const headers = { Accept: "application/json" };
    const token = this.#token;
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const made = { method, address, body: sent, hasToken: this.hasToken, status: 0 };
    try {
      const answer = await this.#fetch(address, { method, headers, body: sent });
      made.status = answer.status;
      const data = await answer.json().catch(() => null);
      if (answer.ok && data !== null) return data;
      throw toProblem(answer, data);
    } finally {
      this.dispatchEvent(new CustomEvent("call", { detail: made }));
      if (made.status === 401 && token === this.#token) this.dispatchEvent(new Event("refused"));
    }
  }

  // EventSource asks by itself; its ticket is no part of the line that is shown.
  tellOfStream() {
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

function toProblem(answer, data) {
  const retryAfterSeconds = Number(answer.headers.get("Retry-After")) || 0;
  if (answer.ok || typeof data?.detail !== "string") return new Problem(`HTTP ${answer.status}`, { status: answer.status });
  return new Problem(data.detail, { status: answer.status, errors: data.errors ?? [], retryAfterSeconds });
}

// Decides when the page refreshes. A stream reports changes at once; without a stream, the page polls every two seconds.
// A hidden page sends no request and has no open stream.

import { settings, words } from "./words.js";

const BUSY_MS = 1_000; // the stream of all tasks does not report progress
const POLL_MS = 2_000;
const IDLE_MS = 5_000;
const SOON_MS = 200; // changes often come in groups
const RECONNECT_MS = 2_000;

export class Live {
  #api;
  #refresh;
  #showState;
  #timer = 0;
  #dueAt = Infinity;
  #isRefreshing = false;
  #wanted = false;
  #isOn = false;
  #isUnavailable = false;
  #source = null;
  #wasOpen = false;
  #streamTimer = 0;

  // `refresh` requests everything that is shown, and returns whether a task is running; `showState` shows the connection.
  constructor({ api, refresh, showState }) {
    [this.#api, this.#refresh, this.#showState] = [api, refresh, showState];
    document.addEventListener("visibilitychange", () => this.#toggle());
  }

  start() {
    this.#isOn = true;
    this.#toggle();
  }

  stop() {
    this.#isOn = false;
    this.#toggle();
  }

  // Shows the effect of the user's last action at once.
  refreshNow() {
    this.#schedule(0);
  }

  #toggle() {
    clearTimeout(this.#timer);
    clearTimeout(this.#streamTimer);
    this.#dueAt = Infinity;
    this.#source?.close();
    this.#source = null;
    if (!this.#isOn || document.hidden) return;
    this.#showState(words.connecting, "connecting");
    this.#wasOpen = false;
    this.#schedule(0);
    this.#connect();
  }

  #schedule(ms) {
    if (!this.#isOn || document.hidden) return;
    if (this.#isRefreshing) {
      this.#wanted ||= ms <= SOON_MS;
      return;
    }
    const at = performance.now() + ms;
    if (at >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = at;
    this.#timer = setTimeout(() => this.#tick(), ms);
  }

  async #tick() {
    this.#dueAt = Infinity;
    this.#isRefreshing = true;
    this.#wanted = false;
    let pauseMs;
    try {
      const isBusy = await this.#refresh();
      if (!this.#isStreaming) pauseMs = POLL_MS;
      else pauseMs = isBusy ? BUSY_MS : IDLE_MS;
      this.#isUnavailable = false;
    } catch (problem) {
      pauseMs = Math.max(POLL_MS, 1_000 * (problem.retryAfterSeconds ?? 0));
      this.#isUnavailable = true;
    } finally {
      this.#isRefreshing = false;
    }
    if (!this.#isOn || document.hidden) return;
    this.#reportState();
    this.#schedule(this.#wanted ? SOON_MS : pauseMs);
  }

  get #isStreaming() {
    return this.#source?.readyState === EventSource.OPEN;
  }

  #reportState() {
    if (this.#isUnavailable) this.#showState(words.unavailable, "unavailable");
    else if (this.#isStreaming) this.#showState(words.live, "live");
    else this.#showState(words.polling, "polling");
  }

  async #connect() {
    let address = `${settings.prefix}/stream`;
    try {
      if (this.#api.hasToken) address += `?ticket=${encodeURIComponent((await this.#api.post("/stream-tickets", {})).ticket)}`;
    } catch {
      return this.#reconnect();
    }
    if (!this.#isOn || document.hidden || this.#source) return;
    const source = new EventSource(address);
    this.#source = source;
    source.addEventListener("open", () => {
      if (!this.#wasOpen) this.#api.reportStream();
      this.#wasOpen = true;
      this.#schedule(0); // gets the changes from before it was open
    });
    source.addEventListener("change", () => this.#schedule(SOON_MS));
    source.addEventListener("error", () => {
      if (this.#source !== source) return;
      // A ticket opens only one stream, so the browser's own reconnection would be refused.
      source.close();
      this.#source = null;
      this.#reconnect();
    });
  }

  // If the stream never opened, for example behind a proxy that does not pass streams on, it will not open later.
  #reconnect() {
    this.#schedule(SOON_MS);
    if (this.#wasOpen) this.#streamTimer = setTimeout(() => this.#connect(), RECONNECT_MS);
  }
}

// When to look again. A stream tells at once of changes; where there is none, the page asks every two seconds.
// While the page is hidden nothing is asked and no stream is open.

import { settings, words } from "./words.js";

const BUSY_MS = 1_000; // progress is no change of the stream of all tasks
const POLL_MS = 2_000;
const IDLE_MS = 5_000;
const SOON_MS = 200; // changes come in bunches
const AGAIN_MS = 2_000;

export class Live {
  #api;
  #look;
  #say;
  #timer = 0;
  #dueAt = Infinity;
  #looking = false;
  #wanted = false;
  #isOn = false;
  #isAway = false;
  #source = null;
  #wasOpen = false;
  #streamTimer = 0;

  // `look` asks for everything that is shown, and tells whether something runs; `say` shows how live the page is.
  constructor({ api, look, say }) {
    [this.#api, this.#look, this.#say] = [api, look, say];
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

  // What the user has just done shows at once.
  lookNow() {
    this.#schedule(0);
  }

  #toggle() {
    clearTimeout(this.#timer);
    clearTimeout(this.#streamTimer);
    this.#dueAt = Infinity;
    this.#source?.close();
    this.#source = null;
    if (!this.#isOn || document.hidden) return;
    this.#say(words.connecting, "connecting");
    this.#wasOpen = false;
    this.#schedule(0);
    this.#connect();
  }

  #schedule(ms) {
    if (!this.#isOn || document.hidden) return;
    if (this.#looking) {
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
    this.#looking = true;
    this.#wanted = false;
    let pauseMs;
    try {
      const isBusy = await this.#look();
      if (!this.#isStreaming) pauseMs = POLL_MS;
      else pauseMs = isBusy ? BUSY_MS : IDLE_MS;
      this.#isAway = false;
    } catch (problem) {
      pauseMs = Math.max(POLL_MS, 1_000 * (problem.retryAfterSeconds ?? 0));
      this.#isAway = true;
    } finally {
      this.#looking = false;
    }
    if (!this.#isOn || document.hidden) return;
    this.#tell();
    this.#schedule(this.#wanted ? SOON_MS : pauseMs);
  }

  get #isStreaming() {
    return this.#source?.readyState === EventSource.OPEN;
  }

  #tell() {
    if (this.#isAway) this.#say(words.away, "away");
    else if (this.#isStreaming) this.#say(words.live, "live");
    else this.#say(words.polling, "polling");
  }

  async #connect() {
    let address = `${settings.prefix}/stream`;
    try {
      if (this.#api.hasToken) address += `?ticket=${encodeURIComponent((await this.#api.post("/stream-tickets", {})).ticket)}`;
    } catch {
      return this.#comeBack();
    }
    if (!this.#isOn || document.hidden || this.#source) return;
    const source = new EventSource(address);
    this.#source = source;
    source.addEventListener("open", () => {
      if (!this.#wasOpen) this.#api.tellOfStream();
      this.#wasOpen = true;
      this.#schedule(0); // what happened before it was open
    });
    source.addEventListener("change", () => this.#schedule(SOON_MS));
    source.addEventListener("error", () => {
      if (this.#source !== source) return;
      // A ticket opens one stream only, so the browser's own attempt to come back would be refused.
      source.close();
      this.#source = null;
      this.#comeBack();
    });
  }

  // A stream that was never there, as without a proxy that joins both ports, will not be there later.
  #comeBack() {
    this.#schedule(SOON_MS);
    if (this.#wasOpen) this.#streamTimer = setTimeout(() => this.#connect(), AGAIN_MS);
  }
}

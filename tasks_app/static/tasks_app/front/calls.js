// The list of this page's API calls, as curl. A repeated call is only counted, because polling would hide the others.

import { toCurl } from "./curl.js";
import { announce, make, setText } from "./dom.js";
import { fill, formatNumber, words } from "./words.js";

const KEPT = 20;

export class CallList {
  #list;
  #entries = new Map(); // by the line

  constructor(list) {
    this.#list = list;
  }

  add(call) {
    const line = toCurl(call);
    const entry = this.#entries.get(line) ?? this.#insert(line);
    entry.count += 1;
    setText(entry.status, call.status ? String(call.status) : "—");
    setText(entry.times, entry.count > 1 ? fill(words.times, { count: formatNumber(entry.count) }) : "");
  }

  #insert(line) {
    const code = make("code", {}, line);
    const status = make("span", { class: "status" });
    const times = make("span", { class: "help" });
    const copy = make("button", { type: "button", "aria-label": fill(words.copyOf, { call: line }) }, words.copy);
    const box = make("pre", { tabindex: "0" }, code);
    const item = make("li", {}, box, make("div", { class: "call-foot" }, status, times, copy));
    copy.addEventListener("click", () => copyText(code));
    this.#list.prepend(item);
    const entry = { item, status, times, count: 0 };
    this.#entries.set(line, entry);
    this.#dropOldest();
    return entry;
  }

  #dropOldest() {
    for (const [line, { item }] of this.#entries) {
      if (this.#entries.size <= KEPT) return;
      if (item.contains(document.activeElement)) continue;
      item.remove();
      this.#entries.delete(line);
    }
  }
}

async function copyText(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    announce(words.copied);
  } catch {
    // The clipboard requires https and the browser's permission. Select the text, so that the keyboard can copy it.
    getSelection().selectAllChildren(code);
    announce(words.selected);
  }
}

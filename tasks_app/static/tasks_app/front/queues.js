// The table of queues.

import { find, make, setText } from "./dom.js";
import { formatNumber, words } from "./words.js";

const rows = new Map(); // by name

export async function refreshQueues(api) {
  const { queues } = await api.get("/queues");
  for (const queue of queues) {
    const row = rows.get(queue.name) ?? insertRow(queue.name);
    setText(row.depth, formatNumber(queue.depth));
    setText(row.started, formatNumber(queue.started));
    const isPaused = queue.pausedAt !== null || queue.suspended;
    setText(row.state, (isPaused ? words.paused : words.served) + (queue.reason ? `: ${queue.reason}` : ""));
    row.state.className = isPaused ? "state-paused" : "";
  }
  for (const [name, { row }] of rows) {
    if (queues.some((queue) => queue.name === name)) continue;
    row.remove();
    rows.delete(name);
  }
}

function insertRow(name) {
  const [depth, started, state] = [make("td", { class: "number" }), make("td", { class: "number" }), make("td")];
  const head = make("th", { scope: "row" }, words.queueNames[name] ?? name);
  const row = make("tr", { "data-queue": name }, head, depth, started, state);
  find("queues").append(row);
  rows.set(name, { row, depth, started, state });
  return rows.get(name);
}

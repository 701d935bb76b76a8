// One task of the list: what it shows, and how it changes in place. Must not call the API.

import { make, setText } from "./dom.js";
import { fill, formatMilliseconds, formatNumber, formatTime, words } from "./words.js";

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

export const isEnded = (task) => words.ended.includes(task.status);

export class TaskRow {
  task;
  #parts;

  constructor(task, { onCancel, onRetry }) {
    this.task = task;
    const named = { name: task.description || task.name };
    const parts = {
      name: make("h3", { tabindex: "-1" }, task.name),
      description: make("span", { class: "description" }),
      state: make("span", { class: "badge" }),
      progress: make("progress", { max: 1, "aria-label": fill(words.progressOf, named) }),
      numbers: make("span", { class: "numbers" }),
      inserted: make("span", { class: "help" }),
      time: make("span", { class: "help" }),
      error: make("p", { class: "task-error", lang: "en" }),
      problem: make("p", { class: "problem", role: "alert" }),
      cancel: make("button", { type: "button", "aria-label": fill(words.cancelOf, named) }, words.cancel),
      retry: make("button", { type: "button", "aria-label": fill(words.retryOf, named) }, words.retry),
    };
    this.#parts = parts;
    parts.cancel.addEventListener("click", () => onCancel(this));
    parts.retry.addEventListener("click", () => onRetry(this));
    const dryRun = task.dryRun ? [make("span", { class: "badge" }, words.dryRun)] : [];
    const created = make("time", { class: "help", datetime: task.createdAt }, formatTime(task.createdAt));
    this.element = make(
      "li",
      { class: "task", "data-task": task.id },
      make("div", { class: "task-head" }, parts.name, parts.state, ...dryRun, created),
      parts.description,
      parts.progress,
      make("div", { class: "task-facts" }, parts.numbers, parts.inserted, parts.time),
      parts.error,
      parts.problem,
      make("div", { class: "task-foot" }, make("code", { class: "help id" }, task.id), parts.cancel, parts.retry),
    );
    this.show(task);
  }

  get problem() {
    return this.#parts.problem;
  }

  show(task) {
    this.task = task;
    const { state, progress, numbers, cancel, retry } = this.#parts;
    const { done, total, isEstimate } = task.progress;
    setText(this.#parts.description, task.description);
    setText(state, words.states[task.status] ?? task.status);
    state.className = `badge ${task.status}`;
    this.element.dataset.status = task.status;
    showProgress(progress, task);
    const said = { done: formatNumber(done), total: total === null ? "" : `${isEstimate ? "≈ " : ""}${formatNumber(total)}` };
    setText(numbers, fill(total === null ? words.recordsOnly : words.records, said));
    setText(this.#parts.inserted, fill(words.inserted, { count: formatNumber(sum(task.counts)) }));
    setText(this.#parts.time, formatDuration(task));
    setText(this.#parts.error, task.error ?? "");
    this.#offer(cancel, !isEnded(task));
    this.#offer(retry, ["failed", "stopped", "canceled"].includes(task.status));
  }

  // If the focused button disappears, the focus moves to the name of its task.
  #offer(button, isOffered) {
    if (button.hidden === !isOffered) return;
    const hasFocus = document.activeElement === button;
    button.hidden = !isOffered;
    if (hasFocus && !isOffered) this.#parts.name.focus();
  }

  set isBusy(isBusy) {
    // aria-disabled keeps the focus; disabled would lose it.
    for (const button of [this.#parts.cancel, this.#parts.retry]) button.setAttribute("aria-disabled", String(isBusy));
  }

  get isBusy() {
    return this.#parts.cancel.getAttribute("aria-disabled") === "true";
  }
}

function showProgress(progress, task) {
  const { done, total } = task.progress;
  if (task.status === "finished") progress.value = 1;
  else if (total) progress.value = Math.min(1, done / total);
  else if (task.status === "started") progress.removeAttribute("value");
  else progress.value = 0;
  progress.className = task.status;
}

function formatDuration({ startedAt, endedAt }) {
  if (startedAt === null) return "";
  const until = endedAt === null ? Date.now() : Date.parse(endedAt);
  return formatMilliseconds(Math.max(0, until - Date.parse(startedAt)));
}

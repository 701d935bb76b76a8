// The list of tasks, newest first: the first page is kept up to date, and older pages are added below.

import { announce, find, showProblem } from "./dom.js";
import { TaskRow, isEnded } from "./task_row.js";
import { fill, words } from "./words.js";

const PAGE = 20;
const OLD_REFRESHES = 5; // tasks of older pages that one refresh requests one by one

export class TaskList {
  #api;
  #rows = new Map(); // by id
  #started = new Map(); // by id: accepted here, but not yet in the API's list
  #next = null;
  #hasOlder = false;
  #onChange;

  constructor({ api, onChange }) {
    [this.#api, this.#onChange] = [api, onChange];
    find("older").addEventListener("click", () => this.#loadOlder());
  }

  // Returns whether any shown task has not ended.
  async refresh() {
    const page = await this.#api.get(`/tasks?limit=${PAGE}`);
    const fresh = new Map(page.tasks.map((task) => [task.id, task]));
    for (const id of fresh.keys()) this.#started.delete(id);
    const isJoined = page.tasks.some((task) => this.#rows.has(task.id));
    const kept = new Map();
    if (this.#hasOlder && isJoined) {
      for (const [id, { task }] of this.#rows) if (!fresh.has(id)) kept.set(id, task);
      await this.#refreshOld(kept);
    } else {
      this.#hasOlder = false;
      this.#next = page.next;
    }
    this.#show([...this.#started.values(), ...fresh.values(), ...kept.values()]);
    return [...this.#rows.values()].some((row) => !isEnded(row.task));
  }

  // Shows a task that was just accepted; the API's list has it a moment later.
  add(task) {
    this.#started.set(task.id, task);
    this.#show([...this.#rows.values()].map((row) => row.task).concat(task));
  }

  clear() {
    this.#started.clear();
    this.#hasOlder = false;
    this.#show([]);
  }

  async #refreshOld(kept) {
    const open = [...kept.values()].filter((task) => !isEnded(task)).slice(0, OLD_REFRESHES);
    for (const { id } of open) kept.set(id, await this.#api.get(`/tasks/${encodeURIComponent(id)}`));
  }

  #show(tasks) {
    const sorted = [...tasks].sort(compareNewest);
    const wanted = new Set(sorted.map((task) => task.id));
    const changed = [];
    for (const [id, row] of this.#rows) {
      if (wanted.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    const list = find("tasks");
    sorted.forEach((task, index) => {
      const known = this.#rows.get(task.id);
      if (known && known.task.status !== task.status) changed.push(task);
      const row = known ?? this.#insert(task);
      if (known) row.show(task);
      // Moved only if necessary, because moving an element loses the focus.
      if (list.children[index] !== row.element) list.insertBefore(row.element, list.children[index] ?? null);
    });
    find("no-tasks").hidden = sorted.length > 0;
    find("older").hidden = this.#next === null;
    announceChanges(changed);
  }

  #insert(task) {
    const row = new TaskRow(task, {
      onCancel: (pressed) => this.#act(pressed, "cancel"),
      onRetry: (pressed) => this.#act(pressed, "retry"),
    });
    this.#rows.set(task.id, row);
    return row;
  }

  async #act(row, verb) {
    if (row.isBusy) return;
    row.isBusy = true;
    showProblem(row.problem, null);
    try {
      const task = await this.#api.post(`/tasks/${encodeURIComponent(row.task.id)}/${verb}`);
      const isStopping = verb === "cancel" && !isEnded(task);
      if (isStopping) announce(fill(words.stopping, { name: task.description || task.name }));
    } catch (problem) {
      showProblem(row.problem, problem);
    } finally {
      row.isBusy = false;
      this.#onChange();
    }
  }

  async #loadOlder() {
    if (this.#next === null) return;
    showProblem(find("older-problem"), null);
    try {
      const page = await this.#api.call("GET", this.#next);
      this.#next = page.next;
      this.#hasOlder = true;
      const known = [...this.#rows.values()].map((row) => row.task);
      const older = page.tasks.filter((task) => !this.#rows.has(task.id));
      this.#show([...known, ...older]);
      this.#rows.get(older[0]?.id)?.element.querySelector("h3").focus();
    } catch (problem) {
      showProblem(find("older-problem"), problem);
    }
  }
}

// Times have one format, so they compare as text; ids order the tasks of one instant.
function compareNewest(a, b) {
  const [left, right] = [a.createdAt + a.id, b.createdAt + b.id];
  return left < right ? 1 : left > right ? -1 : 0;
}

function announceChanges(changed) {
  if (changed.length === 1) {
    const [{ name, description, status }] = changed;
    announce(fill(words.changed, { name: description || name, state: words.states[status] ?? status }));
  } else if (changed.length) announce(fill(words.changedMany, { count: changed.length }));
}

// The form that starts a task: the types and their parameters come from GET /task-types.

import { announce, find, make, setText, showProblem } from "./dom.js";
import { makeField } from "./fields.js";
import { fill, words } from "./words.js";

export class StartForm {
  #api;
  #types = new Map(); // by name
  #fields = [];
  #onStart;
  #isSending = false;

  constructor({ api, onStart }) {
    [this.#api, this.#onStart] = [api, onStart];
    find("type").addEventListener("change", () => this.#showType());
    find("start-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  async load() {
    const { taskTypes } = await this.#api.get("/task-types");
    this.#types = new Map(taskTypes.map((type) => [type.name, type]));
    const chosen = find("type").value;
    find("type").replaceChildren(...taskTypes.map(({ name }) => make("option", { value: name }, name)));
    // Preselects a type that changes no existing rows (those run dry), rather one that can be started at once.
    const safe = taskTypes.filter((type) => !type.supportsDryRun);
    const first = safe.find((type) => type.params.required.length === 0) ?? safe[0] ?? taskTypes[0];
    find("type").value = this.#types.has(chosen) ? chosen : (first?.name ?? "");
    this.#showType();
  }

  #showType() {
    const type = this.#types.get(find("type").value);
    if (!type) return;
    const texts = words.types[type.name];
    setText(find("type-help"), texts?.description || type.description);
    this.#fields = Object.entries(type.params.properties).map(([name, schema]) =>
      makeField({
        name,
        schema,
        label: schema.title ?? texts?.fields[name] ?? name,
        isRequired: type.params.required.includes(name),
      }),
    );
    find("params").replaceChildren(...this.#fields.map((field) => field.element));
    this.#showErrors(null);
  }

  async #send() {
    if (this.#isSending) return;
    this.#showErrors(null);
    const body = this.#read();
    if (body === null) return;
    this.#isSending = true;
    try {
      const task = await this.#api.post("/tasks", body);
      announce(fill(words.started, { name: task.description || task.name }));
      this.#onStart(task);
    } catch (problem) {
      this.#showErrors(problem);
    } finally {
      this.#isSending = false;
    }
  }

  #read() {
    const params = {};
    const errors = [];
    for (const { name, read } of this.#fields) {
      try {
        const value = read();
        if (value !== undefined) params[name] = value;
      } catch (error) {
        errors.push({ field: `params.${name}`, message: error.message });
      }
    }
    if (errors.length) {
      this.#showErrors({ message: words.wrong, errors });
      return null;
    }
    const [description, priority] = [find("description").value, find("priority").value];
    return {
      name: find("type").value,
      params,
      ...(description && { description }),
      ...(priority && { priority: /^\d+$/.test(priority) ? Number(priority) : priority }),
    };
  }

  // Shows each error at its field, and errors without a field above the form.
  #showErrors(problem) {
    for (const field of this.#fields) {
      field.problem.textContent = "";
      field.control.removeAttribute("aria-invalid");
    }
    showProblem(find("start-problem"), problem);
    if (!problem) return;
    let first = null;
    const rest = [];
    for (const { field: path, message } of problem.errors ?? []) {
      const field = this.#fields.find(({ name }) => path === `params.${name}` || path.startsWith(`params.${name}.`));
      if (field) {
        field.problem.textContent = message;
        field.problem.lang = problem.isOfApi ? "en" : document.documentElement.lang;
        field.control.setAttribute("aria-invalid", "true");
        first ??= field.control;
      } else rest.push(`${path}: ${message}`);
    }
    if (rest.length) find("start-problem").append(` ${rest.join(" ")}`);
    first?.focus();
  }
}

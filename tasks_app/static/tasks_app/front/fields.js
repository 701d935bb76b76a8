// Creates form fields from JSON Schema: the control for each parameter, and how its value is read.
// Bounds are shown and set on the control; the API validates the values.

import { make } from "./dom.js";
import { fill, formatNumber, words } from "./words.js";

const DATES = { date: "date" };

export class LocalError extends Error {}

export function makeField({ name, schema, label, isRequired }) {
  const id = `param-${name}`;
  const kind = kindOf(schema);
  const control = CONTROLS[kind](schema, isRequired);
  const help = [schema.description, describeBounds(schema), kind === "json" ? words.asJson : ""].filter(Boolean).join(" ");
  const helpText = make("p", { class: "help", id: `${id}-help` }, help);
  const problem = make("p", { class: "problem", id: `${id}-problem` });
  control.id = id;
  control.name = name;
  control.setAttribute("aria-describedby", `${id}-help ${id}-problem`);
  if (isRequired) control.setAttribute("aria-required", "true");
  const optional = isRequired || kind === "checkbox" ? [] : [" ", make("span", { class: "optional" }, `(${words.optional})`)];
  const caption = make("label", { for: id }, label, ...optional);
  const parts = kind === "checkbox" ? [make("div", { class: "tick" }, control, caption)] : [caption, control];
  const element = make("div", { class: "field" }, ...parts, helpText, problem);
  return { name, element, control, problem, read: () => READERS[kind](control) };
}

// A field that may be empty has null as one of its types.
function typeOf(schema) {
  return Array.isArray(schema.type) ? schema.type.find((type) => type !== "null") : schema.type;
}

function kindOf(schema) {
  const type = typeOf(schema);
  if (schema.oneOf) return "choice";
  if (type === "array" && schema.items?.oneOf) return "choices";
  return { boolean: "checkbox", integer: "number", number: "number", string: "text" }[type] ?? "json";
}

const toOptions = (choices, chosen) =>
  choices.map(({ const: value, title }) =>
    make("option", { value: JSON.stringify(value), selected: chosen(value) }, title || String(value)),
  );

const CONTROLS = {
  checkbox: (schema) => make("input", { type: "checkbox", checked: schema.default === true }),
  number: (schema) =>
    make("input", {
      type: "number",
      min: schema.minimum,
      max: schema.maximum,
      step: typeOf(schema) === "integer" ? 1 : "any",
      inputmode: typeOf(schema) === "integer" ? "numeric" : "decimal",
      value: schema.default,
    }),
  text: (schema) =>
    make("input", { type: DATES[schema.format] ?? "text", maxlength: schema.maxLength, value: schema.default }),
  choice(schema, isRequired) {
    const options = toOptions(schema.oneOf, (value) => value === schema.default);
    return make("select", {}, ...(isRequired || "default" in schema ? [] : [make("option", { value: "" }, "—")]), ...options);
  },
  choices: (schema) =>
    make("select", { multiple: true }, ...toOptions(schema.items.oneOf, (value) => schema.default?.includes(value))),
  json: (schema) =>
    make("textarea", { rows: 3, spellcheck: "false" }, "default" in schema ? JSON.stringify(schema.default) : ""),
};

// undefined: the parameter is omitted, and the task type's default applies.
const READERS = {
  checkbox: (control) => control.checked,
  number(control) {
    if (control.validity.badInput) throw new LocalError(control.validationMessage);
    return control.value === "" ? undefined : Number(control.value);
  },
  text: (control) => (control.value === "" ? undefined : control.value),
  choice: (control) => (control.value === "" ? undefined : JSON.parse(control.value)),
  choices: (control) => [...control.selectedOptions].map((option) => JSON.parse(option.value)),
  json(control) {
    if (control.value.trim() === "") return undefined;
    try {
      return JSON.parse(control.value);
    } catch {
      throw new LocalError(words.badJson);
    }
  },
};

function describeBounds({ minimum, maximum }) {
  const [low, high] = [minimum, maximum].map((bound) => (bound === undefined ? "" : formatNumber(bound)));
  if (low && high) return fill(words.bounds, { low, high });
  if (low) return fill(words.atLeast, { low });
  return high ? fill(words.atMost, { high }) : "";
}

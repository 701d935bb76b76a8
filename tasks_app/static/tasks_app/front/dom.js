// Elements out of code. Text is always text: nothing that comes from the API is read as HTML.

export const find = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Changes only what differs, so that selections and screen readers are left in peace.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Said once by screen readers.
export function announce(text) {
  find("said").textContent = text;
}

// A problem of the API in words; these are English, whatever the page's language.
export function showProblem(element, problem) {
  setText(element, problem ? problem.message : "");
  if (problem?.isOfApi) element.lang = "en";
  else element.removeAttribute("lang");
}

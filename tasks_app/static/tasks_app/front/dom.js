// Creates elements. Data from the API is only inserted as text, never as HTML.

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

// Sets the text only if it differs, so that selections stay and screen readers do not repeat it.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Screen readers announce the text once.
export function announce(text) {
  find("said").textContent = text;
}

// Shows a problem. The API's messages are English in every language of the page.
export function showProblem(element, problem) {
  setText(element, problem ? problem.message : "");
  if (problem?.isOfApi) element.lang = "en";
  else element.removeAttribute("lang");
}

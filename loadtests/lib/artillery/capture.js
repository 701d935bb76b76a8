// Owns `capture`: taking values out of a response into a virtual user's variables.
import { valuesAt } from './jsonpath.js';
import { render } from './template.js';

export class FailedCapture extends Error {}

function extract({ capture, answer, variables }) {
  if (capture.json !== undefined) {
    const found = valuesAt(answer.json(), render(capture.json, variables));
    return found.length > 1 ? found[Math.floor(Math.random() * found.length)] : found[0];
  }
  if (capture.header !== undefined) {
    return answer.header(render(capture.header, variables));
  }
  if (capture.regexp !== undefined) {
    const match = new RegExp(render(capture.regexp, variables), capture.flags).exec(answer.text());
    if (match === null) {
      return undefined;
    }
    return capture.group === undefined ? match[0] : (match.groups || {})[capture.group] || match[capture.group];
  }
  throw new Error(`capture ${JSON.stringify(capture)} has none of json, header, regexp`);
}

// All or nothing, as in Artillery: one missing value without `strict: false` fails the virtual user.
export function runCaptures({ captures, answer, variables }) {
  const captured = {};
  for (const capture of captures) {
    const value = extract({ capture, answer, variables });
    if ((value === undefined || value === '') && capture.strict !== false) {
      throw new FailedCapture(`nothing found for ${JSON.stringify(capture)}`);
    }
    captured[capture.as] = value;
  }
  Object.assign(variables, captured);
}

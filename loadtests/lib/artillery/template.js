// Owns {{ variables }} of an Artillery file: finds them and inserts them into strings, lists and objects.

const ONE_EXPRESSION = /^\s*\{\{\s*([^{}]+?)\s*\}\}\s*$/;
const ANY_EXPRESSION = /\{\{\s*([^{}]+?)\s*\}\}/g;
const FUNCTION_CALL = /^(\$[A-Za-z0-9_]+)\s*\(\s*([^()]*?)\s*\)$/;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

function randomNumber(least, most) {
  const low = Number(least);
  return low + Math.floor(Math.random() * (Number(most) - low + 1));
}

function randomString(length = 10) {
  return Array.from({ length: Number(length) }, () => ALPHABET[randomNumber(0, ALPHABET.length - 1)]).join('');
}

export function newUuid() {
  return 'xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx'.replace(/[xy]/g, (letter) =>
    (letter === 'x' ? randomNumber(0, 15) : randomNumber(8, 11)).toString(16),
  );
}

const FUNCTIONS = { $randomNumber: randomNumber, $randomString: randomString, $uuid: newUuid };

function callFunction(name, text) {
  if (FUNCTIONS[name] === undefined) {
    throw new Error(`unknown template function ${name}(): known are ${Object.keys(FUNCTIONS).join(', ')}`);
  }
  const values = text === '' ? [] : text.split(',').map((value) => value.trim().replace(/^['"]|['"]$/g, ''));
  return FUNCTIONS[name](...values);
}

export function lookUp(path, variables) {
  const keys = path.replace(/\[\s*['"]?([^\]'"]+)['"]?\s*\]/g, '.$1').split('.');
  return keys.reduce((value, key) => (value === undefined || value === null ? undefined : value[key]), variables);
}

function evaluate(expression, variables) {
  const call = FUNCTION_CALL.exec(expression);
  return call ? callFunction(call[1], call[2]) : lookUp(expression, variables);
}

function renderString(text, variables) {
  if (!text.includes('{{')) {
    return text;
  }
  // A string that is a single expression keeps the value's type, as in Artillery.
  const single = ONE_EXPRESSION.exec(text);
  if (single) {
    return evaluate(single[1], variables);
  }
  return text.replace(ANY_EXPRESSION, (_, expression) => {
    const value = evaluate(expression, variables);
    return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
  });
}

export function render(value, variables) {
  if (typeof value === 'string') {
    return renderString(value, variables);
  }
  if (Array.isArray(value)) {
    return value.map((item) => render(item, variables));
  }
  if (typeof value === 'object' && value !== null) {
    const rendered = {};
    for (const key of Object.keys(value)) {
      rendered[renderString(key, variables)] = render(value[key], variables);
    }
    return rendered;
  }
  return value;
}

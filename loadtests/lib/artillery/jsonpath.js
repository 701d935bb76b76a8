// Owns the supported part of JSONPath for captures: $.a.b, $['a'], $[0], $[*], $.*, $..name. Refuses filters and scripts.

const TOKEN = /\.\.([\w-]+|\*)|\.([\w$-]+|\*)|\[\s*(?:'([^']*)'|"([^"]*)"|(-?\d+|\*))\s*\]/gy;

export function parsePath(path) {
  const text = path.startsWith('$') ? path.slice(1) : `.${path}`;
  const tokens = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const start = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) {
      throw new Error(`JSONPath ${JSON.stringify(path)} is not understood from ${JSON.stringify(text.slice(start))} on`);
    }
    const key = match.slice(1).find((group) => group !== undefined);
    tokens.push({ key, deep: match[1] !== undefined });
  }
  return tokens;
}

function children(value) {
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}

function descendants(value) {
  return [value].concat(...children(value).map(descendants));
}

function select(value, key) {
  if (key === '*') {
    return children(value);
  }
  if (typeof value !== 'object' || value === null) {
    return [];
  }
  const index = Array.isArray(value) && Number(key) < 0 ? value.length + Number(key) : key;
  return value[index] === undefined ? [] : [value[index]];
}

export function valuesAt(document, path) {
  return parsePath(path).reduce(
    (values, { key, deep }) =>
      [].concat(...(deep ? [].concat(...values.map(descendants)) : values).map((value) => select(value, key))),
    [document],
  );
}

// Owns the forms of a step and its parts. artillery_reader has checked them: nothing is refused here.

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head'];

export function listOf(value) {
  return value === undefined ? [] : [].concat(value);
}

// A mapping {statusCode: 201, contentType: json} means the same as the list of its entries.
export function expectationsOf(expect) {
  const list = [];
  for (const entry of listOf(expect)) {
    for (const type of Object.keys(entry)) {
      list.push({ type, wanted: entry[type] });
    }
  }
  return list;
}

// The document's own loop: a list of blocks, each with its count and its flow.
export function isBlock(step) {
  return step.flow !== undefined;
}

export function methodOf(step) {
  return METHODS.find((method) => step[method] !== undefined);
}

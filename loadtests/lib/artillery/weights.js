// Owns the choice of a virtual user's scenario. Artillery chooses at random; here the weights are exact, so runs are comparable.

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

// Smooth weighted round robin: weights 3 and 1 give 0, 0, 1, 0 and not 0, 0, 0, 1.
export function deckOf(weights) {
  const divisor = weights.reduce(greatestCommonDivisor, 0);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0)) {
    throw new Error(`the scenarios' weights are ${weights.join(', ')}: at least one must be above 0`);
  }
  if (total / divisor > 100000) {
    throw new Error(`the scenarios' weights are ${weights.join(', ')}: give smaller ones`);
  }
  const credits = weights.map(() => 0);
  const deck = [];
  for (let turn = 0; turn < total / divisor; turn += 1) {
    weights.forEach((weight, index) => {
      credits[index] += weight;
    });
    const next = credits.indexOf(Math.max(...credits));
    credits[next] -= total;
    deck.push(next);
  }
  return deck;
}

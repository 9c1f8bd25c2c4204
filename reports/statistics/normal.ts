/** The standard normal distribution. */

/**
 * P(Z ≤ z), to about 15 digits: the Taylor series of Marsaglia, "Evaluating the normal distribution" (Journal of
 * Statistical Software, 2004). Its terms grow with z, so the far tails use the asymptotic bound instead of cancelling.
 */
export function normalCdf(z: number): number {
  if (z < 0) return upperTail(-z);
  return 1 - upperTail(z);
}

/** The z with P(Z ≤ z) = p, for 0 < p < 1, by bisection: the cdf is monotone and 80 halvings reach the last bit. */
export function normalQuantile(p: number): number {
  let low = -38;
  let high = 38;
  for (let step = 0; step < 80; step++) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(Z > z) for z ≥ 0. */
function upperTail(z: number): number {
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  if (z > 4) return density * millsRatio(z);
  let term = z;
  let sum = z;
  for (let odd = 3; term > sum * 1e-17; odd += 2) {
    term *= (z * z) / odd;
    sum += term;
  }
  return 0.5 - density * sum;
}

/** (1 − Φ(z)) ÷ φ(z) by Laplace's continued fraction z + 1/(z + 2/(z + 3/…)), evaluated from the far end. */
function millsRatio(z: number): number {
  let fraction = z;
  for (let k = 120; k >= 1; k--) fraction = z + k / fraction;
  return 1 / fraction;
}

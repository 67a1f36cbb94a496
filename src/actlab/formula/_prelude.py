"""What the JavaScript of a formula needs beyond Math: special functions to double precision."""

# erfc(x) = e^(-x^2) C(t) / (1 + 2x) with t = (x - 3.75) / (x + 3.75), C a sum of 26 Chebyshev polynomials fitted at 40 digits: after
# Schonfelder 1978, Mathematics of Computation 32. Below 1, erf is Kummer's series, whose terms have one sign.
JAVASCRIPT_PRELUDE = r"""
const sigmoid = (u) => { const t = Math.exp(-Math.abs(u)); return u >= 0 ? 1 / (1 + t) : t / (1 + t); };
const softplus = (u) => Math.max(u, 0) + Math.log1p(Math.exp(-Math.abs(u)));
const logaddexp = (u, v) => u === v ? u + Math.LN2 : Math.max(u, v) + Math.log1p(Math.exp(-Math.abs(u - v)));
const bounded = (u) => Math.min(Math.max(u, -Number.MAX_VALUE), Number.MAX_VALUE);
const rise = (u, c) => u * (u / (Math.hypot(u, c) + c));
const minusSquare = (u) => { const z = Math.fround(u); return Math.exp(-z * z) * Math.exp((z - u) * (z + u)); };
const CHEBYSHEV = [
  1.1775789345674017, -0.004590054580646478, -0.08424913336651792, 0.05920993999819189, -0.026658668435305753,
  0.009074997670705265, -0.002413163540417608, 0.0004907758365258086, -6.916973302501207e-05, 4.13902798607301e-06,
  7.74038306619849e-07, -2.1886401049234397e-07, 1.076499946567091e-08, 4.521959811218287e-09, -7.754400208831351e-10,
  -6.318088340886684e-11, 2.86879501093067e-11, 1.9455868545777347e-13, -9.65469674843344e-13, 3.25254814814874e-14,
  3.3478119482868056e-14, -1.864562880419313e-15, -1.2507950530688648e-15, 7.418235256624044e-17, 5.068148904796111e-17,
  -2.2370566594359995e-18,
];
const erfcTail = (u) => {
  if (u > 27) return 0;
  const t = (u - 3.75) / (u + 3.75);
  let b = 0, before = 0;
  for (let k = CHEBYSHEV.length - 1; k > 0; k--) [b, before] = [2 * t * b - before + CHEBYSHEV[k], b];
  return minusSquare(u) * (t * b - before + CHEBYSHEV[0]) / (1 + 2 * u);
};
const erfSeries = (u) => {
  let term = 1, total = 1;
  for (let n = 1; term > total * 1e-17; n++) total += (term *= 2 * u * u / (2 * n + 1));
  return 2 / Math.sqrt(Math.PI) * u * Math.exp(-u * u) * total;
};
const erf = (u) => Math.abs(u) < 1 ? erfSeries(u) : u > 0 ? 1 - erfcTail(u) : erfcTail(-u) - 1;
const erfc = (u) => Number.isNaN(u) ? NaN : u > 0.5 ? erfcTail(u) : u > -1 ? 1 - erfSeries(u) : 2 - erfcTail(-u);
const sinc = (u, order = 0) => {
  if (Math.abs(u) > 1 + order) {
    const s = [Math.sin, Math.cos, (v) => -Math.sin(v), (v) => -Math.cos(v)][order % 4](u);
    return order ? (s - order * sinc(u, order - 1)) / u : s / u;
  }
  let n = Math.ceil(order / 2), term = n % 2 ? -1 : 1, total = 0;
  for (let k = 1; k <= order; k++) term *= 2 * n - order + k;
  for (let k = 1; k <= 2 * n + 1; k++) term /= k;
  for (term *= Math.pow(u, 2 * n - order); n < order + 20; n++) {
    total += term;
    term *= -u * u * (2 * n + 1) / ((2 * n + 3) * (2 * n + 2 - order) * (2 * n + 1 - order));
  }
  return total;
};
"""

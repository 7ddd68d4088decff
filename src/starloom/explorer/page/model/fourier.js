// The inverse real Fourier transform of any length 2^a 3^b 5^c (others work, slowly).

/**
 * Function (re, im, out): out[t] = Re c_0 + 2 Re sum_k c_k exp(2 pi i k t / n) over the first modes c_k,
 * which are fewer than n / 2 and taken up to `count`; the others are zero.
 */
export function inverseRealTransform(n, count) {
  if (!(count < n / 2)) throw new Error(`${count} modes are too many for ${n} points`);
  return n % 2 === 0 ? evenTransform(n, count) : oddTransform(n, count);
}

/** The transform of half the length, with even points as real parts and odd points as imaginary ones. */
function evenTransform(n, count) {
  const half = n / 2;
  const transform = inverseTransform(half);
  const re = new Float64Array(half);
  const im = new Float64Array(half);
  const cosine = Float64Array.from({ length: half }, (_, k) => Math.cos((2 * Math.PI * k) / n));
  const sine = Float64Array.from({ length: half }, (_, k) => Math.sin((2 * Math.PI * k) / n));
  return (modesRe, modesIm, out) => {
    for (let k = 0; k < half; k++) {
      const l = half - k; // whose conjugate is mode k + n / 2
      const aRe = k < count ? modesRe[k] : 0;
      const aIm = k < count && k > 0 ? modesIm[k] : 0;
      const bRe = l < count ? modesRe[l] : 0;
      const bIm = l < count ? -modesIm[l] : 0;
      const dRe = aRe - bRe;
      const dIm = aIm - bIm;
      const oRe = dRe * cosine[k] - dIm * sine[k];
      const oIm = dRe * sine[k] + dIm * cosine[k];
      re[k] = aRe + bRe - oIm;
      im[k] = aIm + bIm + oRe;
    }
    const [x, y] = transform(re, im);
    for (let t = 0; t < half; t++) {
      out[2 * t] = x[t];
      out[2 * t + 1] = y[t];
    }
    return out;
  };
}

function oddTransform(n, count) {
  const transform = inverseTransform(n);
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  return (modesRe, modesIm, out) => {
    re.fill(0);
    im.fill(0);
    re[0] = modesRe[0];
    for (let k = 1; k < count; k++) {
      re[k] = re[n - k] = modesRe[k];
      im[k] = modesIm[k];
      im[n - k] = -modesIm[k];
    }
    out.set(transform(re, im)[0]);
    return out;
  };
}

/** Complex transform sum_k z_k exp(2 pi i k t / n), by Stockham's self-sorting algorithm of mixed radix. */
export function inverseTransform(n) {
  const factors = factorise(n);
  const cosine = Float64Array.from({ length: n }, (_, k) => Math.cos((2 * Math.PI * k) / n));
  const sine = Float64Array.from({ length: n }, (_, k) => Math.sin((2 * Math.PI * k) / n));
  const spare = [new Float64Array(n), new Float64Array(n)];
  const other = [new Float64Array(n), new Float64Array(n)];
  return (re, im) => {
    let from = [re, im];
    let length = n;
    let stride = 1;
    factors.forEach((radix, index) => {
      const to = index % 2 === 0 ? spare : other;
      pass(from, to, radix, length / radix, stride, n, cosine, sine);
      from = to;
      length /= radix;
      stride *= radix;
    });
    return from;
  };
}

/** One pass: butterflies of `radix` numbers that lie m * stride apart, turned by the twiddle factors. */
function pass([xRe, xIm], [yRe, yIm], radix, m, stride, n, cosine, sine) {
  const root = n / radix;
  for (let p = 0; p < m; p++) {
    for (let j = 0; j < radix; j++) {
      const turn = p * j * stride;
      const to = stride * (radix * p + j);
      for (let q = 0; q < stride; q++) {
        let re = 0;
        let im = 0;
        for (let k = 0, at = q + stride * p; k < radix; k++, at += stride * m) {
          const w = (j * k * root + turn) % n;
          re += xRe[at] * cosine[w] - xIm[at] * sine[w];
          im += xRe[at] * sine[w] + xIm[at] * cosine[w];
        }
        yRe[to + q] = re;
        yIm[to + q] = im;
      }
    }
  }
}

function factorise(n) {
  const factors = [];
  let rest = n;
  for (let factor = 2; rest > 1; factor++) {
    for (const radix of factor === 2 ? [4, 2] : [factor]) {
      while (rest % radix === 0) {
        factors.push(radix);
        rest /= radix;
      }
    }
  }
  return factors;
}

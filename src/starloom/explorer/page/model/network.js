// The forward pass of a network that is described as data (starloom/networks/forward.py).

const ACTIVATIONS = {
  linear: (x) => x,
  relu: (x) => Math.max(x, 0),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

const LAYERS = {
  /** y = activation(x W + b), added to x where the layer is residual. */
  Dense({ inputs, outputs, activation, residual }, { weight, bias }) {
    const function_ = ACTIVATIONS[activation];
    if (!function_) throw new Error(`activation ${activation} is not one of ${Object.keys(ACTIVATIONS)}`);
    const y = new Float64Array(outputs);
    return (x) => {
      y.set(bias);
      let [i, at] = [0, 0];
      // four inputs at a time, added in their order: half the time, and the same bits
      for (; i + 3 < inputs; i += 4, at += 4 * outputs) {
        const [a, b, c, d] = [x[i], x[i + 1], x[i + 2], x[i + 3]];
        const [second, third, fourth] = [at + outputs, at + 2 * outputs, at + 3 * outputs];
        for (let j = 0; j < outputs; j++) {
          y[j] = y[j] + a * weight[at + j] + b * weight[second + j] + c * weight[third + j] + d * weight[fourth + j];
        }
      }
      for (; i < inputs; i++, at += outputs) {
        const value = x[i];
        for (let j = 0; j < outputs; j++) y[j] += value * weight[at + j];
      }
      if (activation !== "linear") for (let j = 0; j < outputs; j++) y[j] = function_(y[j]);
      if (residual) for (let j = 0; j < outputs; j++) y[j] += x[j];
      return y;
    };
  },
  /** y = (x - offset) scale. */
  Affine({ inputs }, { offset, scale }) {
    const y = new Float64Array(inputs);
    return (x) => {
      for (let i = 0; i < inputs; i++) y[i] = (x[i] - offset[i]) * scale[i];
      return y;
    };
  },
  /** Its inputs, followed by one over one of them. */
  Reciprocal({ inputs, component }) {
    const y = new Float64Array(inputs + 1);
    return (x) => {
      for (let i = 0; i < inputs; i++) y[i] = x[i];
      y[inputs] = 1 / x[component];
      return y;
    };
  },
  /** The mean of a Gaussian process of Matern's covariance, smoothness 7/2, given its values at some centres. */
  Matern({ inputs, centres, outputs }, { centre, weight, bias }) {
    const y = new Float64Array(outputs);
    return (x) => {
      y.set(bias);
      for (let i = 0; i < centres; i++) {
        let square = 0;
        for (let k = 0; k < inputs; k++) square += (x[k] - centre[inputs * i + k]) ** 2;
        const a = Math.sqrt(7 * square);
        const alike = (1 + a * (1 + a * (2 / 5 + a / 15))) * Math.exp(-a);
        for (let j = 0, at = outputs * i; j < outputs; j++) y[j] += alike * weight[at + j];
      }
      return y;
    };
  },
  Dropout: () => (x) => x,
};

/** Function from inputs to outputs; what it returns is its own and overwritten by the next call. */
export function network(name, architecture, tensors) {
  const layers = architecture.map((layer, index) => {
    const make = LAYERS[layer.layer];
    if (!make) throw new Error(`network ${name}: layer ${layer.layer} is not one of ${Object.keys(LAYERS)}`);
    const prefix = `${name}/${index}/`;
    const own = Object.keys(tensors).filter((key) => key.startsWith(prefix));
    return make(layer, Object.fromEntries(own.map((key) => [key.slice(prefix.length), tensors[key]])));
  });
  return (x) => layers.reduce((value, layer) => layer(value), x);
}

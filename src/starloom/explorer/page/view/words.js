// Labels in words: for the legend, for titles and for the names of files.

/** Text of a number with a minus that is as long as a plus. */
export const minus = (value) => `${value}`.replace("-", "−");

export class Words {
  constructor(domain) {
    this.domain = domain;
    this.labels = [...domain.star, ...domain.seen, ...domain.elements];
    this.velocity = domain.velocity;
  }

  /** Labels as one line of text; the velocity only where there is one, elements where they are not at their default. */
  title(labels, velocity) {
    const texts = this.#told(labels).map((label) => text(label, labels[label.name]));
    return (velocity ? [...texts, text(this.velocity, velocity)] : texts).join(", ");
  }

  /** What is not the same in other labels. */
  differences(labels, velocity, others, otherVelocity) {
    const shown = this.labels.filter((label) => [labels, others].some((values) => !label.element || this.domain.deviates(label, values)));
    const texts = (values, moving) => [...shown.map((label) => text(label, values[label.name])), text(this.velocity, moving)];
    const other = texts(others, otherVelocity);
    return (
      texts(labels, velocity)
        .filter((text, i) => text !== other[i])
        .join(", ") || "the same"
    );
  }

  /** A name for files of these labels. */
  stem(labels) {
    const parts = this.#told(labels)
      .filter(({ letter }) => letter)
      .map(({ name, letter, step }) => letter + labels[name].toFixed(decimals(step)));
    return ["starloom", ...parts].join("_");
  }

  #told(labels) {
    const telling = this.domain.telling(labels);
    return this.labels.filter((label) => telling.includes(label));
  }
}

function text({ words, signed }, value) {
  const rounded = +value.toFixed(3);
  return words.replace("{}", (signed && rounded > 0 ? "+" : "") + minus(rounded));
}

/** Digits after the point that a step needs. */
const decimals = (step) => Math.max(0, -Math.floor(Math.log10(step) + 1e-9));

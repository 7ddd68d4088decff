// Labels in words: for the legend, for titles and for the names of files.

/** Text of a number with a minus that is as long as a plus. */
export const minus = (value) => `${value}`.replace("-", "−");

export class Words {
  constructor({ star, seen, velocity }) {
    this.labels = [...star, ...seen];
    this.velocity = velocity;
  }

  /** Labels as one line of text; the velocity only where there is one. */
  title(labels, velocity) {
    const texts = this.#texts(labels, velocity);
    return (velocity ? texts : texts.slice(0, -1)).join(", ");
  }

  /** What is not the same in other labels. */
  differences(labels, velocity, others, otherVelocity) {
    const other = this.#texts(others, otherVelocity);
    return (
      this.#texts(labels, velocity)
        .filter((text, i) => text !== other[i])
        .join(", ") || "the same"
    );
  }

  /** A name for files of these labels. */
  stem(labels) {
    const parts = this.labels.filter(({ letter }) => letter).map(({ name, letter, step }) => letter + labels[name].toFixed(decimals(step)));
    return ["starloom", ...parts].join("_");
  }

  #texts(labels, velocity) {
    return [...this.labels.map((label) => text(label, labels[label.name])), text(this.velocity, velocity)];
  }
}

function text({ words, signed }, value) {
  const rounded = +value.toFixed(3);
  return words.replace("{}", (signed && rounded > 0 ? "+" : "") + minus(rounded));
}

/** Digits after the point that a step needs. */
const decimals = (step) => Math.max(0, -Math.floor(Math.log10(step) + 1e-9));

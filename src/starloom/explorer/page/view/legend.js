// Spectra in words, for the legend and for titles.

const WORDS = {
  teff: (value) => `${value} K`,
  logg: (value) => `log g ${value}`,
  mh: (value) => `[M/H] ${value === "0" || value.startsWith("−") ? "" : "+"}${value}`,
  vsini: (value) => `v sin i ${value}`,
  vmic: (value) => `vmic ${value}`,
  resolution: (value) => `R ${value}`,
  velocity: (value) => `RV ${value}`,
};

function words(labels, velocity) {
  const values = { ...labels, velocity };
  const text = (name) => WORDS[name](`${+values[name].toFixed(3)}`.replace("-", "−"));
  return Object.fromEntries(Object.keys(WORDS).map((name) => [name, text(name)]));
}

/** Labels as one line of text. */
export function title(labels, velocity) {
  const { velocity: moving, ...all } = words(labels, velocity);
  return [...Object.values(all), ...(velocity ? [moving] : [])].join(", ");
}

/** What is not the same in other labels. */
export function differences(labels, velocity, others, otherVelocity) {
  const [own, other] = [words(labels, velocity), words(others, otherVelocity)];
  return Object.keys(own).filter((name) => own[name] !== other[name]).map((name) => own[name]).join(", ") || "the same";
}

/** An entry of the legend: a stroke of the colour, a letter and a text. */
export function chip(colourName, letter, text, kind = "") {
  const made = document.createElement("span");
  made.className = `chip ${kind}`;
  made.style.setProperty("--colour", `var(--${colourName})`);
  made.innerHTML = `<span class="swatch"></span>${letter ? `<b>${letter}</b>` : ""}<span></span>`;
  made.lastElementChild.textContent = text;
  return made;
}

/** A button; `name` is what it does, told to pointers and screen readers. */
export function action(text, name, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.title = name;
  if (text !== name) button.setAttribute("aria-label", name);
  button.addEventListener("click", act);
  return button;
}

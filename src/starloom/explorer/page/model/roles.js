// The few labels that the page treats by what they mean (starloom/explorer/facts.py).

/** Function (labels, role): the value of the label in a role, or what holds where the model has no such label. */
export const meaning = (roles) => (labels, role) => {
  const { label, otherwise } = roles[role];
  return label === null ? otherwise : labels[label];
};

"""Partition functions of atoms and their ions."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from starloom.tables import load

_TABLE = load("partition_functions")
LOG_TEMPERATURE = np.log(_TABLE["temperature"])  # equidistant
EXISTS = np.isfinite(_TABLE["log_q"][..., 0])  # [element, charge]: no second ion of hydrogen
LOG_Q = np.nan_to_num(_TABLE["log_q"])


def log_partition(temperature: Float[Array, "layer"]) -> Float[Array, "element charge layer"]:
    """Natural logarithm of the partition function of charges 0 to 3.

    Linear in ln T between the table's nodes.

    Barklem & Collet (2016, A&A 588, A96) to 10 000 K, Kurucz's above.  Temperatures in K, 1000 to 100 000;
    the end values hold beyond.  Ions that do not exist have 0: see ``EXISTS``.
    """
    step = LOG_TEMPERATURE[1] - LOG_TEMPERATURE[0]
    position = jnp.clip((jnp.log(temperature) - LOG_TEMPERATURE[0]) / step, 0, len(LOG_TEMPERATURE) - 1)
    lower = jnp.clip(jnp.floor(position).astype(int), 0, len(LOG_TEMPERATURE) - 2)
    weight = position - lower
    table = jnp.asarray(LOG_Q)
    return table[..., lower] * (1 - weight) + table[..., lower + 1] * weight

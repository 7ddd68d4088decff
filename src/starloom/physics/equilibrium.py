r"""The equation of state: ionisation and molecules in local thermodynamic equilibrium.

Unknowns of a layer are the neutral-atom densities of H, C, N, O and S, the electron density and the density
of all nuclei; any other element has at most one atom in a molecule, so its neutral density follows from
these.  Ionisation follows Saha, molecules Guldberg & Waage:

.. math::
    \frac{n_{c+1} n_e}{n_c} = 2 \frac{Q_{c+1}}{Q_c} \left(\frac{2\pi m_e kT}{h^2}\right)^{3/2} e^{-\chi_c/kT},
    \qquad n_\mathrm{molecule} = \frac{\prod_i (n_i kT)^{\nu_i}}{K_p(T)\, kT}

The conservation of each element, of charge and of the gas pressure is solved by Newton's method on
logarithms, where the equations (sums of powers) are nearly linear, so that it converges from a neutral gas.

Mihalas (1978), section 5-1. Number densities [cm-3], temperatures in K, energies in cgs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from starloom.constants import BOLTZMANN, BOLTZMANN_EV, ELECTRON_MASS, PLANCK, SPEED_OF_LIGHT
from starloom.physics.abundances import HYDROGEN
from starloom.physics.partition import EXISTS, log_partition
from starloom.physics.species import ELEMENTS, MASSES
from starloom.tables import load

IONIZATION_EV = np.nan_to_num(load("ionization_energies")["energy_ev"])  # [element, charge]
H_MINUS_AFFINITY_EV = 0.754204  # Lykke, Murray & Lineberger (1991), Phys. Rev. A 43, 6104
# elements that bind to each other; any other forms molecules with these alone, one atom in each
CORE = np.array([HYDROGEN, 5, 6, 7, 15])  # H, C, N, O, S
LONE = np.setdiff1d(np.arange(ELEMENTS), CORE)
_TABLE = load("equilibrium_constants")
# molecules of two other elements (NaCl, CaF, Al2O ...) hold less than 1e-4 of these above 2500 K and are left
# out
_KEPT = _TABLE["composition"][:, LONE].sum(axis=1) <= 1
MOLECULES: tuple[str, ...] = tuple(str(name) for name in _TABLE["name"][_KEPT])
MOLECULE_INDEX = {name: index for index, name in enumerate(MOLECULES)}
COMPOSITION = _TABLE["composition"][_KEPT].astype(float)  # [molecule, element]
CHARGE = _TABLE["charge"][_KEPT].astype(float)  # [molecule]
LOG_KP = _TABLE["coefficients"][_KEPT]  # log10, polynomials in 5040 K / T
HAS_LONE = COMPOSITION[:, LONE].any(axis=1)
LONE_OF = LONE[COMPOSITION[:, LONE].argmax(axis=1)]  # the one other element of a molecule, where it has one
CHARGES = 4  # stages 0..3
ABSENT = 1e-40  # per hydrogen nucleus, of an element that is not there: the logarithm of 0 has no derivative
TOLERANCE = 1e-10  # largest error of a conservation law, relative
MAXIMUM_STEP = 3.0  # in ln n; keeps Newton from overshooting where a molecule takes nearly all of an element
ITERATIONS = 60


class State(NamedTuple):
    """Number densities [cm-3] of everything in the gas, layer by layer.

    Neutral and ionised ``atoms``, ``molecules`` as in ``MOLECULE_INDEX``.
    """

    electrons: Float[Array, "layer"]
    atoms: Float[Array, "element charge layer"]
    molecules: Float[Array, "molecule layer"]
    h_minus: Float[Array, "layer"]  #: H-
    log_partition: Float[Array, "element charge layer"]  #: natural logarithm of the partition functions
    mass_density: Float[Array, "layer"]  #: g cm-3
    residual: Float[Array, "layer"]  #: largest relative violation of a conservation law

    def molecule(self, name: str) -> Float[Array, "layer"]:
        """Density of a molecule by name, e.g. ``TiO`` [cm-3]."""
        return self.molecules[MOLECULE_INDEX[name]]


class _Constants(NamedTuple):
    """What of a layer does not depend on the unknowns."""

    log_saha: Float[Array, "layer element charge"]  #: ln of n_c n_e^c / n_0
    log_molecule: Float[Array, "layer molecule"]  #: ln of n_molecule / prod n_0^nu, molecular ions included
    log_h_minus: Float[Array, "layer"]  #: ln of n(H-) / (n(H) n_e)
    log_abundance: Float[Array, "element"]  #: ln of the fraction of all nuclei
    log_pressure: Float[Array, "layer"]  #: ln of P / kT


def log_saha_factor(temperature: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Natural logarithm of :math:`2 (2\pi m_e kT/h^2)^{3/2}` [cm-3]; Mihalas (1978), eq. 5-14."""
    return jnp.log(2.0) + 1.5 * jnp.log(2 * jnp.pi * ELECTRON_MASS * BOLTZMANN * temperature / PLANCK**2)


def _constants(temperature, gas_pressure, per_hydrogen, log_q) -> _Constants:
    kt_ev = BOLTZMANN_EV * temperature
    step = log_q[:, 1:] - log_q[:, :-1] + log_saha_factor(temperature) - IONIZATION_EV[:, :3, None] / kt_ev
    step = jnp.where(EXISTS[:, 1:, None], step, -1e4)
    log_saha = jnp.concatenate([jnp.zeros_like(step[:, :1]), jnp.cumsum(step, axis=1)], axis=1)
    theta = 5040.0 / temperature
    powers = theta[:, None] ** np.arange(5)
    log_kp = jnp.log(10.0) * (powers @ LOG_KP.T)
    log_kt = jnp.log(BOLTZMANN * temperature)
    # a molecular ion of charge +1 has lost an electron: its partial pressure is divided by the electrons'
    members = COMPOSITION.sum(axis=1) - CHARGE
    return _Constants(
        log_saha=jnp.moveaxis(log_saha, 2, 0),
        log_molecule=(members - 1) * log_kt[:, None] - log_kp,
        log_h_minus=-log_q[HYDROGEN, 0] - log_saha_factor(temperature) + H_MINUS_AFFINITY_EV / kt_ev,
        log_abundance=jnp.log(jnp.maximum(per_hydrogen, ABSENT) / per_hydrogen.sum()),
        log_pressure=jnp.log(gas_pressure) - log_kt,
    )


def _densities(unknowns, constants: _Constants):
    """Atoms [element, charge], molecules and H- of one layer.

    The unknowns are ln n_0 of ``CORE``, ln n_e and ln N.
    """
    log_core, log_electrons, log_nuclei = unknowns[:-2], unknowns[-2], unknowns[-1]
    stages = jnp.exp(constants.log_saha - jnp.arange(CHARGES) * log_electrons)  # per neutral atom
    per_lone_atom = jnp.exp(constants.log_molecule + COMPOSITION[:, CORE] @ log_core - CHARGE * log_electrons)
    demand = stages.sum(axis=1) + COMPOSITION.T @ per_lone_atom
    neutral = jnp.exp(log_nuclei + constants.log_abundance) / demand
    neutral = neutral.at[CORE].set(jnp.exp(log_core))
    molecules = per_lone_atom * jnp.where(HAS_LONE, neutral[LONE_OF], 1.0)
    h_minus = jnp.exp(constants.log_h_minus + log_core[0] + log_electrons)
    return neutral[:, None] * stages, molecules, h_minus


def _violations(unknowns, constants: _Constants):
    """Logarithm of (found / demanded) for each core element, for charge and for pressure, of one layer."""
    atoms, molecules, h_minus = _densities(unknowns, constants)
    electrons, nuclei = jnp.exp(unknowns[-2]), jnp.exp(unknowns[-1])
    bound = (COMPOSITION[:, CORE].T @ molecules).at[0].add(h_minus)
    element = jnp.log(atoms[CORE].sum(axis=1) + bound) - constants.log_abundance[CORE] - jnp.log(nuclei)
    positive = (atoms * jnp.arange(CHARGES)).sum() + (molecules * np.maximum(CHARGE, 0)).sum()
    negative = electrons + h_minus - (molecules * np.minimum(CHARGE, 0)).sum()
    pressure = jnp.log(atoms.sum() + molecules.sum() + h_minus + electrons) - constants.log_pressure
    return jnp.concatenate([element, jnp.stack([jnp.log(positive) - jnp.log(negative), pressure])])


def _newton_step(unknowns, constants: _Constants):
    violation = _violations(unknowns, constants)
    jacobian = jax.jacfwd(_violations)(lax.stop_gradient(unknowns), lax.stop_gradient(constants))
    return jnp.linalg.solve(jacobian, violation), violation


def _first_guess(constants: _Constants):
    """A gas of atoms, its electrons from hydrogen or 1e-4 of easily ionised nuclei, whichever are more."""
    log_nuclei = constants.log_pressure - 0.1
    log_from_hydrogen = 0.5 * (constants.log_saha[:, HYDROGEN, 1] + log_nuclei)
    log_electrons = jnp.minimum(jnp.maximum(log_from_hydrogen, log_nuclei - 9.2), log_nuclei - 0.7)
    log_stage = constants.log_saha - jnp.arange(CHARGES) * log_electrons[:, None, None]
    log_first = constants.log_abundance + log_nuclei[:, None] - jax.nn.logsumexp(log_stage, axis=2)
    return jnp.concatenate([log_first[:, CORE], log_electrons[:, None], log_nuclei[:, None]], axis=1)


def _solve(constants: _Constants):
    """Unknowns of all layers; the last step alone carries derivatives (implicit function theorem)."""
    # compiled apart, hence traced once for its two uses
    newton = jax.jit(jax.vmap(_newton_step, in_axes=(0, _Constants(0, 0, 0, None, 0))))
    fixed = lax.stop_gradient(constants)

    def unfinished(carry):
        iteration, _, worst = carry
        return (iteration < ITERATIONS) & (worst > TOLERANCE)

    def improve(carry):
        iteration, unknowns, _ = carry
        step, violation = newton(unknowns, fixed)
        largest = jnp.max(jnp.abs(step), axis=1, keepdims=True)
        step = step * jnp.minimum(1.0, MAXIMUM_STEP / jnp.maximum(largest, 1e-30))
        return iteration + 1, unknowns - step, jnp.max(jnp.abs(violation))

    _, unknowns, _ = lax.while_loop(unfinished, improve, (0, _first_guess(fixed), jnp.inf))
    unknowns = lax.stop_gradient(unknowns)
    step, violation = newton(unknowns, constants)
    return unknowns - step, jnp.max(jnp.abs(violation), axis=1)


@jax.jit
def equation_of_state(
    temperature: Float[Array, "layer"],
    gas_pressure: Float[Array, "layer"],
    per_hydrogen: Float[Array, "element"],
) -> State:
    """Number densities [cm-3] of electrons, atoms, ions and molecules.

    ``temperature`` is in K, ``gas_pressure`` in dyn cm-2.

    ``per_hydrogen`` are nuclei per hydrogen nucleus (``abundances.per_hydrogen``).  Must run in float64
    (inside ``jax.enable_x64(True)``).  Where Newton's method has not converged ``residual`` says so: the
    public face checks it. Charge, particles and nuclei are conserved to 1e-9.  Domain 1500-60 000 K; three
    ions an element, no lowering of the ionisation energies (0.01-0.05 eV here).
    """
    log_q = log_partition(temperature)
    constants = _constants(temperature, gas_pressure, per_hydrogen, log_q)
    unknowns, residual = _solve(constants)
    atoms, molecules, h_minus = jax.vmap(_densities, in_axes=(0, _Constants(0, 0, 0, None, 0)))(
        unknowns, constants
    )
    nuclei = jnp.exp(unknowns[:, -1])
    mass = (jnp.exp(constants.log_abundance) * MASSES).sum()
    return State(
        electrons=jnp.exp(unknowns[:, -2]),
        atoms=jnp.moveaxis(atoms, 0, 2),
        molecules=molecules.T,
        h_minus=h_minus,
        log_partition=log_q,
        mass_density=nuclei * mass,
        residual=residual,
    )


def level_population(
    level: int | Int[np.ndarray, "level 1"], temperature: Float[Array, "layer"], state: State
) -> Float[Array, "*level layer"]:
    """Hydrogen atoms in a level, or in several: Boltzmann times the level's occupation probability.

    Boltzmann's equation: Mihalas (1978), eq. 5-5; occupation by Hummer & Mihalas (1988).
    """
    excitation = IONIZATION_EV[HYDROGEN, 0] * (1 - 1 / level**2)
    boltzmann = 2 * level**2 * jnp.exp(-excitation / (BOLTZMANN_EV * temperature) - state.log_partition[0, 0])
    return state.atoms[0, 0] * boltzmann * occupation_probability(level, temperature, state.electrons)


def occupation_probability(level: float | Array, temperature: Array, electrons: Array) -> Array:
    r"""Probability that a hydrogen level survives the electric microfield of the plasma.

    .. math:: w = \frac{f}{1+f}, \quad f = \frac{0.1402\, x \beta^3}{1 + 0.1285\, x \beta^{3/2}}, \quad
        x = (1+a)^{3.15}, \quad a = 0.09 n_e^{1/6} T^{-1/2}, \quad
        \beta = 8.59\times 10^{14} \frac{K_n}{n^4} n_e^{-2/3}

    with K_n = 1 to n = 3 and 16 n / (3 (n+1)^2) above.  Hummer & Mihalas (1988, ApJ 331, 794) in the form of
    Hubeny, Hummer & Lanz (1994, A&A 282, 151), appendix A.
    """
    level = jnp.asarray(level, dtype=electrons.dtype)
    stark = jnp.where(level <= 3, 1.0, 16 * level / (3 * (level + 1) ** 2))
    beta = 8.59e14 * stark / level**4 * electrons ** (-2 / 3)
    x = (1 + 0.09 * electrons ** (1 / 6) / jnp.sqrt(temperature)) ** 3.15
    f = 0.1402 * x * beta**3 / (1 + 0.1285 * x * beta**1.5)
    return f / (1 + f)


def stimulated(
    wavelength: Float[Array, "wavelength"], temperature: Float[Array, "layer"]
) -> Float[Array, "layer wavelength"]:
    r"""Correction for stimulated emission, :math:`1 - e^{-hc/\lambda kT}`; Mihalas (1978), eq. 4-6.

    ``wavelength`` in vacuum [cm].
    """
    return -jnp.expm1(-PLANCK * SPEED_OF_LIGHT / (BOLTZMANN * wavelength * temperature[:, None]))

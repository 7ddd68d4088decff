"""Lines out of local thermodynamic equilibrium: which ions, and in which stars.

``atom`` is the model atom, ``layers`` what is added above an atmosphere, ``background`` what else absorbs
there, ``rates`` the collisions and continua, ``populations`` the statistical equilibrium, and ``calcium``
what of it a spectrum needs, ``emission`` what it adds on the fine grid.
"""

from starloom.nlte.calcium import IONS, Departures, checked_ions, departures, shown_ions, together, trust
from starloom.nlte.layers import Above

__all__ = ["IONS", "Above", "Departures", "checked_ions", "departures", "shown_ions", "together", "trust"]

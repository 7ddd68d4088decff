"""Physical constants in cgs units, CODATA 2018 (Tiesinga et al. 2021, Rev. Mod. Phys. 93, 025010)."""

SPEED_OF_LIGHT = 2.99792458e10  # cm s-1, exact
SPEED_OF_LIGHT_KMS = 2.99792458e5  # km s-1, exact
PLANCK = 6.62607015e-27  # erg s, exact
BOLTZMANN = 1.380649e-16  # erg K-1, exact
BOLTZMANN_EV = 8.617333262e-5  # eV K-1
ELECTRON_CHARGE = 4.80320471257e-10  # esu
ELECTRON_MASS = 9.1093837015e-28  # g
PROTON_MASS = 1.67262192369e-24  # g
ATOMIC_MASS = 1.66053906660e-24  # g, one unified atomic mass unit
ELECTRON_VOLT = 1.602176634e-12  # erg, exact
RYDBERG_EV = 13.605693122994  # eV, infinite nuclear mass
BOHR_RADIUS = 5.29177210903e-9  # cm
THOMSON = 6.6524587321e-25  # cm2
ANGSTROM = 1.0e-8  # cm
KMS = 1.0e5  # cm s-1
LINE_CROSS_SECTION = 2.6540085e-2  # cm2 s-1, pi e^2 / (m_e c): absorption of one classical oscillator

# the elements from hydrogen to uranium, by atomic number
_SYMBOLS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr
Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er
Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U
"""
SYMBOLS = tuple(_SYMBOLS.split())
ALPHA_ELEMENTS = ("O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Ti")  # what [alpha/M] moves, as in ATLAS9's models

"""Partition functions of molecules: ExoMol's files and polynomials in ln T."""

import numpy as np
from sources import read_member

# molecule: (nuclear-spin weight to divide out, SHA-256 of the file). ExoMol counts nuclear spin, atomic
# tables do not; the weight is the product of 2I + 1, averaged over the isotopologues that the file sums
EXOMOL = {
    "AlO": (6.0, "2b77cfab5c07d9bfadd7ce51987175a9416c976097895c89157ab8ce4aa66819"),
    "C2": (1.0222, "3e2e1f9c7ce0ed081caf6f158c43fb85bdff82f2a738c1cd1fe98bebd3c2f345"),
    "CH": (1.0, "d3d9effca28a0f48497b95f002d5b014017ade9fd9aab0749cba2b2690e1547c"),
    "CN": (3.0, "b62adebfd3ed0ca51aabc0b902f7ed90945c749eabf36595c74f92ebbfc40662"),
    "CO": (1.0113, "404cea8a59b17a2decd4401e15ad7c3e1ed9ab3b96e7604b597ff2a3d344a29b"),
    "CO2": (1.0, "195e908b723a931e3b56d4e2359cd1eff13b42e2c68811b60a8c6c8a918ff4fd"),
    "CS": (1.035, "c535f909a55c1bbd18b27eeb3d8824b6f08b9527b6ea20159b4304e02dbcbe4d"),
    "CaH": (2.0, "ef49e36b293a78fec8af0be01945e110ba0084087f2423938c59bc3ce48ddf9d"),
    "CaO": (1.0, "54b7085f7b9532babbdd59ff4d20d61decb3c7827d54efc082df6531949b56fb"),
    "CrH": (2.0, "8d9b344b7694668e8eb7fa97ee4f56e12589e85cf2348768b827270c4433461d"),
    "FeH": (2.0, "46169ea08b0bf07af19a0167df107349ed7a632cabd4d989ec4973e7691118be"),
    "H2": (4.0, "a74def0d322c4d68d716f51e760f8724b194772915239af21f3f4cc0141c2bbd"),
    "H2O": (4.0, "39441c486f09e50fcc450e85e321dff968a2db4e8a606af50ae346cb293dae39"),
    "H2S": (4.0, "786beaca5627d4f318324983de8bc8104a2f11d33890657260adc610374910a3"),
    "HCl": (8.0, "28259cfa0379162812f643ca0e27b029b75c60008d965ecb422984a3c7ac51cf"),
    "HF": (4.0, "bce438c5e637fd3626de7d6f8436df6552464a0e39da234d2a2eebdb7b374cf7"),
    "MgH": (3.0, "666836e97853b751a4c1cae9b3101b2b1b0af676d61643a3086c4fcc74a25017"),
    "MgO": (1.5, "a79aefbac1561acdfafd15b3174364cffbe14a129f789d832b647f82769a0fba"),
    "N2": (9.0, "4de565a667b4f294eec15c4366931b277c9ad1bb780e9705492c0db50514b91f"),
    "NH": (6.0, "4e4883b84b23a6302ed660ae43b1488371fde750723608f1c68e31896b4266d5"),
    "NO": (3.0, "8cf3688b4ba62706b075fa8711b565f626e3d7d623aa32d06d7efd4a147e5d60"),
    "NS": (3.0, "e32acb35fd1b9f7d065cb61c2f028d0af1868973bdd93ed5b5530f9bdb3910f2"),
    "NaH": (8.0, "fe360b51349e097faf506dbd7daff368b1ad44bb89301a5f257778d69e2e1abf"),
    "OH": (2.0, "7a0770778c3941919541f9b261a0e842b6c47d56b9f5ff50d6c32b8fdbc3633a"),
    "PH": (4.0, "3e9b206bd62dace5ce1369c4dfbca45be67342171eec43060deb9f2503074438"),
    "SH": (2.0, "62fe7e7849ccd9b2f0202dcdeee6fd618387af6e6df074e8e60e3f5ad6687ea9"),
    "SiH": (2.0, "3e2d7061595cce18c546718b44b4caf8e0052e513b631ff629cf58994b2d7433"),
    "SiO": (1.0468, "b211bf64592a4427ba0ce5a86c8b3c99e9e06380790f9689497bcdfe180700d0"),
    "SiS": (1.076, "12160728afa3497e238185e33e3a3581c220abde127f5e21d8549f605face9f3"),
    "TiH": (1.0, "91f12c5815d932d2ed91ca6603545914921c3b8c6c0b418f27b4f686d35af950"),
    "TiO": (1.7507, "94647734aac4510d49a3744c9d676a112ec9ed317ac683a816b378e911c5f6b7"),
    "VO": (8.0, "a19b2687ce7e114cce4261d3de6a1beba7059aae1f063d49489933b7710ff0e2"),
}
POLYNOMIALS = (
    "synspec",
    "1.0.3",
    "python/synspec/data/irwin_bc.dat",
    "05ad22b5e3863d7365ddbedf4b4fd55082d851428bfc573d89d92c7cf3465e40",
)
# species codes of the diatomic molecules whose polynomials are fits to Barklem & Collet (2016)
BARKLEM_COLLET_CODES = {
    "AlO": "1308.00", "C2": "606.00", "CH": "601.00", "CN": "607.00", "CO": "608.00", "CS": "616.00",
    "CaH": "2001.00", "CaO": "2008.00", "CrH": "2401.00", "FeH": "126.00", "H2": "101.00", "HCl": "117.00",
    "HF": "109.00", "MgH": "1201.00", "MgO": "1208.00", "N2": "707.00", "NH": "701.00", "NO": "708.00",
    "NS": "716.00", "NaH": "1101.00", "OH": "801.00", "PH": "1501.00", "SiH": "1401.00", "SiO": "1408.00",
    "SiS": "1416.00", "TiH": "2201.00", "TiO": "2208.00", "VO": "2308.00",
}  # fmt: skip
LAST_FITTED = 10000.0  # K: Barklem & Collet's table ends here, and the polynomials are good to 1 % up to it


def exomol(molecule: str) -> tuple[np.ndarray, np.ndarray]:
    """Temperatures [K] of ExoMol's file and ln Q there, nuclear spin divided out."""
    weight, sha256 = EXOMOL[molecule]
    content = read_member("synspec", "1.0.3", f"python/synspec/data/EXOMOL/{molecule}.pf", sha256)
    temperature, q = np.array(content.split(), dtype=float).reshape(-1, 2).T
    return temperature, np.log(q / weight)


def species_polynomials() -> dict[str, np.ndarray]:
    """Coefficients of ln Q = sum a_i (ln T)^i by species code: ``607.00`` CN, ``101.01`` H2+, ``26.01`` Fe+.

    Diatomic molecules after Barklem & Collet (2016), the rest after Irwin (1981, 1988).
    """
    lines = read_member(*POLYNOMIALS).decode().splitlines()[2:]
    return {line.split()[0]: np.array(line.split()[1:7], dtype=float) for line in lines if line.strip()}


def evaluate(polynomial: np.ndarray, temperature: np.ndarray, last: float) -> np.ndarray:
    """ln Q of a polynomial in ln T; beyond ``last`` [K] linear in ln T with the slope it has there."""
    x = np.log(temperature)
    inside = np.minimum(x, np.log(last))
    powers = np.polynomial.Polynomial(polynomial)
    return powers(inside) + powers.deriv()(np.log(last)) * (x - inside)

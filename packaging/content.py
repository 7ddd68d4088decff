"""Tell what is in the wheels and sdists of a folder, by size; exit with 1 where one is not as it should be.

python packaging/content.py dist
"""

import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

# of a wheel: what everybody needs, and what is taken beside it
LARGEST_MB = {"starloom": 45, "starloom_paper": 60, "starloom_optical": 60, "starloom_optical_model": 60}
NEEDED = {
    "starloom": (
        "starloom/__init__.py",
        "starloom/py.typed",
        "starloom/models/",
        "starloom/tables/",
        "/LICENSE",
    ),
    "starloom_paper": ("starloom_paper/paper.safetensors",),
    "starloom_optical": (
        "starloom_optical/band.toml",
        "starloom_optical/atomic_lines.npz",
        "starloom_optical/molecular_opacity_15.npz",
        "starloom_optical/galah_blue/band.toml",
        "starloom_optical/SHA256SUMS",
    ),
    "starloom_optical_model": ("starloom_optical_model/optical.safetensors",),
}


def members(path: Path) -> dict[str, int]:
    """Sizes of the files in a wheel or sdist, by name."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return {each.filename: each.file_size for each in wheel.infolist() if not each.is_dir()}
    with tarfile.open(path) as sdist:
        return {each.name.partition("/")[2]: each.size for each in sdist if each.isfile()}


def faults(path: Path, files: dict[str, int]) -> list[str]:
    """What is wrong with a distribution."""
    package = path.name.split("-")[0]
    others = [f"/{other}/" for other in NEEDED if other != package]
    found = [name for name in files if any(part in f"/{name}" for part in ("__pycache__", *others))]
    told = [f"{name} does not belong there" for name in found]
    for part in NEEDED[package]:
        if not any(part in f"/{name}" for name in files):
            told.append(f"{part} is not in it")
    largest = LARGEST_MB[package]
    if path.suffix == ".whl" and path.stat().st_size > largest * 1e6:
        told.append(f"{path.stat().st_size / 1e6:.1f} MB, at most {largest} MB are meant")
    return told


def main(folder: str) -> int:
    wrong = 0
    for path in sorted(Path(folder).iterdir()):
        files = members(path)
        kinds: Counter[str] = Counter()
        for name, size in files.items():
            kinds[Path(name).suffix or Path(name).name] += size
        largest = ", ".join(f"{kind} {size / 1e6:.1f}" for kind, size in kinds.most_common(4))
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {len(files)} files; unpacked [MB] {largest}")
        for fault in faults(path, files):
            print(f"  {fault}", file=sys.stderr)
            wrong += 1
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

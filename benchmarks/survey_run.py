"""A survey from files to a table, killed on its way: spectra a second, memory, rows lost or doubled.

Generated spectra of single stars, as the Gaia archive gives them (FITS tables with an array in each row,
float32), are written in files of --each, and fitted by ``starloom fit`` with --workers into one table; three
times the run is killed with all its processes and started again. Printed: time and processor time of reading
alone, of the whole run, spectra a second, the largest memory of all processes together (as the system counts
it, shared pages each time), and the rows that are missing or doubled.

    python benchmarks/survey_run.py FOLDER [--spectra 1000000] [--each 20000] [--workers 2] [--kills 3]
    [WORDS ...]

WORDS go to ``starloom fit``, such as --model default-2026-lte --no-physics-error.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from starloom.io import read_each
from starloom.networks.generator import Generator
from starloom.sampling import uniform

RVS_AA = 8460 + 0.1 * np.arange(2401)
SNR = (20, 50, 100, 200)
RESOLUTION, FASTEST_KMS = 12400.0, 60.0
COOLEST, HOTTEST = 3600.0, 8500.0
PORTION = 2000


def write(folder: Path, generator: Generator, first: int, count: int) -> Path:
    """A file of ``count`` spectra; those of a number are always the same."""
    path = folder / f"RvsMeanSpectrum_{first:08d}.fits"
    if path.exists():
        return path
    domain = generator.domain
    names = [name for name in domain.names if name not in (*domain.spread, "filling")]
    box = domain.only(*names)
    high = box.high.copy()
    high[box.index("teff")], high[box.index("vsini")] = HOTTEST, FASTEST_KMS
    low = box.low.copy()
    low[box.index("teff")] = COOLEST
    parts = []
    for start in range(first, first + count, PORTION):
        size = min(PORTION, first + count - start)
        drawn = uniform(41, start, size, low, high, box.contains)
        drawn[:, box.index("resolution")] = RESOLUTION
        labels = domain.array(**dict(zip(names, drawn.T, strict=True)))
        rng = np.random.default_rng([42, start])
        flux = generator.flux(labels, wavelength_aa=RVS_AA, medium="vacuum")
        snr = np.array(SNR)[np.arange(size) % len(SNR), None]
        noisy = (flux + rng.standard_normal(flux.shape) / snr).astype(np.float32)
        error = np.broadcast_to(1 / snr, flux.shape).astype(np.float32)
        parts.append(Table({"source_id": np.arange(start, start + size), "flux": noisy, "flux_error": error}))
    whole = Table({name: np.concatenate([part[name] for part in parts]) for name in parts[0].colnames})
    whole.write(path.with_suffix(".part"), format="fits", overwrite=True)
    path.with_suffix(".part").rename(path)
    return path


@dataclass
class Watched:
    """A process and all below it: the largest memory of all together, and each one's processor time."""

    most: int = 0
    ticks: dict[int, int] = field(default_factory=dict)

    def look(self, process: int) -> None:
        """Look once."""
        total, below = 0, [process]
        while below:
            one = below.pop()
            try:
                text = Path(f"/proc/{one}/status").read_text()
                total += 1024 * int(text.partition("VmRSS:")[2].split()[0])
                used = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
                self.ticks[one] = int(used[11]) + int(used[12])
                for thread in Path(f"/proc/{one}/task").iterdir():
                    below += map(int, (thread / "children").read_text().split())
            except (OSError, IndexError, ValueError):
                continue
        self.most = max(self.most, total)

    @property
    def seconds(self) -> float:
        """Processor time of all."""
        return sum(self.ticks.values()) / os.sysconf("SC_CLK_TCK")


def run(command: list[str], parts: Path, killed: bool, after: int, watched: Watched) -> tuple[float, bool]:
    """Seconds, and whether it ended: killed when ``after`` further parts are there."""
    begun = time.monotonic()
    had = len(list(parts.glob("*.npz")))
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None:
        watched.look(process.pid)
        if killed and len(list(parts.glob("*.npz"))) >= had + after:
            os.killpg(process.pid, signal.SIGKILL)  # its own group, all workers in it
            process.wait()
            return time.monotonic() - begun, False
        time.sleep(0.2)
    if process.returncode not in (0, 1):
        raise SystemExit(f"the run ended with {process.returncode}")
    return time.monotonic() - begun, True


def main() -> None:
    """Write, read, fit, kill, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--spectra", type=int, default=1_000_000)
    parser.add_argument("--each", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--after", type=int, default=2, help="parts, between kills")
    options, words = parser.parse_known_args()
    options.folder.mkdir(exist_ok=True)
    model = words[words.index("--model") + 1] if "--model" in words else "default"
    generator = Generator.load(model)
    firsts = range(0, options.spectra, options.each)
    paths = [write(options.folder, generator, n, min(options.each, options.spectra - n)) for n in firsts]
    listed, output = options.folder / "list.txt", options.folder / "fits.fits"
    listed.write_text("".join(f"{path.name}\n" for path in paths))
    output.unlink(missing_ok=True)
    begun = time.process_time()
    few = sum(1 for _, _ in zip(read_each(paths[0]), range(2000), strict=False))
    print(f"reading alone: {1e3 * (time.process_time() - begun) / few:.2f} ms of processor time a spectrum")
    command = [sys.executable, "-m", "starloom", "fit", "--from", str(listed), "-o", str(output)]
    command += ["--workers", str(options.workers), *words]
    seconds, ended, kills, watched = 0.0, False, 0, Watched()
    while not ended:
        parts = options.folder / f".{output.name}.parts"
        took, ended = run(command, parts, kills < options.kills, options.after, watched)
        seconds, kills = seconds + took, kills + (not ended)
        told = "ended" if ended else "killed"
        print(f"{told} after {took:.0f} s; {len(list(parts.glob('*.npz')))} parts are there", flush=True)
    rate = options.spectra / seconds
    done = f"{options.spectra} spectra in {seconds:.0f} s of {options.workers} workers, {kills} kills"
    print(f"{done}: {rate:.1f} a second")
    processor = 1e3 * watched.seconds / options.spectra
    print(f"processor time {processor:.2f} ms a spectrum; memory {watched.most / 2**20:.0f} MB")
    alone = 1e6 * processor / 1e3 / options.workers / 3600
    print(f"a million: {1e6 / rate / 3600:.1f} hours, or {alone:.1f} on so many cores alone")
    names = fits.getdata(output)["name"]
    sources = [int(str(name).rpartition("[")[2].rstrip("]")) for name in names]
    missing = set(range(options.spectra)) - set(sources)
    doubled, ordered = len(sources) - len(set(sources)), sources == sorted(sources)
    print(f"rows {len(sources)}, missing {len(missing)}, doubled {doubled}, in order {ordered}")


if __name__ == "__main__":
    main()

"""Build a store of spectra with workers that a queue starts (SLURM), by dask-jobqueue; or here, to try it.

python build_store.py standard STORE --jobs 20 --cores 8 --memory 16GB --queue normal --hours 8
python build_store.py tiny STORE --local 2
"""

import argparse
import subprocess
import sys

# one thread in each process, for all the libraries that would start more
ONE_THREAD = [
    f"export {name}=1"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC", "PJRT_NPROC")
]


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe", help="name of a packaged recipe, or a TOML file")
    parser.add_argument("store", help="folder of the store: made, or continued")
    parser.add_argument("--jobs", type=int, default=10, help="of the queue")
    parser.add_argument("--cores", type=int, default=8, help="of a job, each with a process")
    parser.add_argument("--memory", default="16GB", help="of a job")
    parser.add_argument("--hours", type=float, default=8, help="after which the queue ends a job")
    parser.add_argument("--queue", help="or partition")
    parser.add_argument("--directive", action="append", default=[], help="of the queue: --account=stars")
    parser.add_argument("--local", type=int, help="so many processes of this machine, no queue")
    parser.add_argument("--print", action="store_true", help="show the jobs' script, send nothing")
    return parser.parse_args(words)


def queued(options: argparse.Namespace):
    """A cluster whose workers are jobs; none is sent yet."""
    from dask_jobqueue import SLURMCluster

    minutes = round(60 * options.hours)
    return SLURMCluster(
        cores=options.cores,
        processes=options.cores,
        memory=options.memory,
        walltime=f"{minutes // 60:02d}:{minutes % 60:02d}:00",
        queue=options.queue,
        python=sys.executable,
        job_script_prologue=ONE_THREAD,
        job_extra_directives=options.directive,
    )


def local(options: argparse.Namespace):
    """A cluster of processes of this machine."""
    from distributed import LocalCluster

    return LocalCluster(n_workers=options.local, threads_per_worker=1, dashboard_address=None)


def run(options: argparse.Namespace, *words: str) -> int:
    """Exit code of ``starloom`` with these words, whose tasks the workers do."""
    with local(options) if options.local else queued(options) as cluster:
        if options.print:
            print(cluster.job_script())
            return 0
        if not options.local:
            cluster.scale(jobs=options.jobs)
        command = [sys.executable, "-m", "starloom", *words, "--dask", cluster.scheduler_address]
        return subprocess.run(command).returncode


def main() -> int:
    options = parsed()
    return run(options, "database", "build", options.recipe, options.store)


if __name__ == "__main__":  # workers import this file
    sys.exit(main())

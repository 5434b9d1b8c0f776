"""`sweep`: all points of a specification into a folder of Parquet files, on one core, all cores or a Dask cluster.

Each chunk is a file that appears whole, and its contents follow from the specification, so a killed sweep goes on where
it stopped and ends with the same bytes.
"""

from __future__ import annotations

import importlib.util
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tinysim.errors import InputError, TinysimError
from tinysim.explore.chunks import chunk_path, run_chunk
from tinysim.explore.sweep_spec import SweepSpec, read_sweep

__all__ = ["Progress", "SweepResult", "sweep"]

#: hidden from readers of Parquet folders by its first letter
_SPEC_FILE = "_sweep.json"
#: a chunk that loses its worker this often is at fault itself
_RETRIES = 3
_CONNECT_S = 10


@dataclass(frozen=True)
class Progress:
    """How far a sweep is."""

    done_points: int
    total_points: int
    elapsed_s: float
    fresh_points: int
    """of the done ones, computed in this run"""

    @property
    def eta_s(self) -> float:
        """Time left at the speed so far [s]; not a number before the first chunk."""
        left = self.total_points - self.done_points
        return left * self.elapsed_s / self.fresh_points if self.fresh_points else float("nan")


@dataclass(frozen=True)
class SweepResult:
    """A finished sweep."""

    folder: Path
    spec: SweepSpec
    n_points: int
    n_files: int

    @property
    def files(self) -> str:
        """Pattern of the Parquet files, for pandas, DuckDB, Polars."""
        return str(self.folder / "part-*.parquet")


def sweep(
    spec: str | Path | dict[str, Any] | SweepSpec,
    folder: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> SweepResult:
    """Compute all points; chunks that the folder holds already are kept.

    Args:
        spec: YAML file, mapping or `SweepSpec`.
        folder: where the files go; made if absent.
        workers: processes; 1 computes in this one, None takes all cores.
        scheduler: address of a Dask scheduler, such as tcp://10.0.0.1:8786; its workers must see `folder`.
        progress: called after each chunk.

    Raises:
        SpecError: a wrong specification.
        InputError: a folder that cannot be written or holds another sweep, a scheduler that does not answer, a missing
            package.
    """
    asked = read_sweep(spec)
    asked.check()
    if workers is not None and workers < 1:
        raise InputError(f"workers: {workers} is below 1")
    _need("pyarrow", "explore")
    client = None if scheduler is None else _connect(scheduler)
    text = asked.model_dump_json()
    place = _prepared(Path(folder), text)
    missing = [i for i in range(asked.n_chunks) if not chunk_path(place, i).is_file()]
    jobs = ((text, str(place.resolve()), number) for number in missing)
    if client is not None:
        finished = _on_dask(client, jobs)
    elif workers == 1 or len(missing) <= 1:
        finished = (run_chunk(*job) for job in jobs)
    else:
        finished = _on_processes(jobs, workers or os.cpu_count() or 1)
    begun, fresh = time.perf_counter(), 0
    done = _points(asked) - sum(_points(asked, i) for i in missing)
    for n in finished:
        fresh, done = fresh + n, done + n
        if progress is not None:
            progress(Progress(done, asked.n_points, time.perf_counter() - begun, fresh))
    return SweepResult(place, asked, asked.n_points, asked.n_chunks)


def _points(spec: SweepSpec, chunk: int | None = None) -> int:
    if chunk is None:
        return spec.n_points
    left = spec.networks.count - chunk * spec.networks_per_chunk
    return min(spec.networks_per_chunk, left) * spec.n_settings


def _need(package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise InputError(f"a sweep needs {package}: pip install 'tinysim[{extra}]'")


def _prepared(folder: Path, text: str) -> Path:
    """The folder, with the specification in it; half-written files of a killed run are removed."""
    about = folder / _SPEC_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if about.is_file() and about.read_text(encoding="utf-8") != text:
            raise InputError(f"{folder}: holds another sweep; give another folder or remove it")
        if not about.is_file():
            scratch = about.with_name(f".{_SPEC_FILE}.{os.getpid()}")
            scratch.write_text(text, encoding="utf-8")
            os.replace(scratch, about)
        for half in folder.glob(".part-*"):
            half.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder}: cannot be written")
    return folder


def _on_processes(jobs: Iterator[tuple[str, str, int]], workers: int) -> Iterator[int]:
    """Chunks on processes of this machine; jobs of a lost process run again."""
    tried: dict[tuple[str, str, int], int] = {}
    waiting: list[tuple[str, str, int]] = []
    exhausted = False
    while not exhausted or waiting:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            running: dict[Future[int], tuple[str, str, int]] = {}
            try:
                while True:
                    fill = 2 * workers - len(running)
                    batch = [waiting.pop() for _ in range(min(fill, len(waiting)))]
                    batch += islice(jobs, fill - len(batch))
                    exhausted = len(batch) < fill
                    running |= {pool.submit(run_chunk, *job): job for job in batch}
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        n = future.result()
                        del running[future]
                        yield n
            except BrokenProcessPool as error:
                for job in running.values():
                    tried[job] = tried.get(job, 0) + 1
                    if tried[job] > _RETRIES:
                        raise TinysimError(f"sweep: chunk {job[2]} lost its process {_RETRIES + 1} times") from error
                waiting += running.values()


def _connect(scheduler: str) -> Any:
    _need("distributed", "dask")
    if not re.fullmatch(r"[a-z]+://\S+:\d+/?", scheduler):
        raise InputError(f"scheduler {scheduler!r} is no address; expected one like tcp://10.0.0.1:8786")
    import distributed

    make_client: Any = distributed.Client
    try:
        return make_client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"scheduler {scheduler!r} does not answer: {str(error) or type(error).__name__}") from error


def _on_dask(client: Any, jobs: Iterator[tuple[str, str, int]]) -> Iterator[int]:
    """Chunks on a cluster; the scheduler gives those of a lost worker to another one."""
    import distributed

    wait_for: Any = distributed.wait

    def submit(job: tuple[str, str, int]) -> Any:
        return client.submit(run_chunk, *job, pure=False, retries=_RETRIES)

    with client, client.as_current():
        window = 4 * max(1, sum(client.nthreads().values()))
        running = {submit(job) for job in islice(jobs, window)}
        while running:
            done = wait_for(running, return_when="FIRST_COMPLETED").done
            for future in done:
                yield future.result()
            running -= done
            running |= {submit(job) for job in islice(jobs, len(done))}

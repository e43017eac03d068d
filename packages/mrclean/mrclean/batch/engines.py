"""Who does the work: processes of this machine, or a Ray cluster. Both call the same functions on the same arguments.

An engine is a context manager. Its ``map(function, tasks)`` gives the results of ``function(*task)``, in any order;
meanwhile it calls ``tick()`` about once a second, if it can. ``bytes_done`` counts what was read, or is None.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from .. import rules
from . import work


class Stopped(RuntimeError):
    """The work could not go on. What is done stays done, and the next start goes on from there."""


class Local:
    """Worker processes of this machine."""

    def __init__(self, workers: int, out: Path):
        context = multiprocessing.get_context("spawn")
        self._notes, self._workers = out / ".work" / "running", workers
        shutil.rmtree(self._notes, ignore_errors=True)
        self._notes.mkdir(parents=True)
        self.bytes_done = context.Value("q", 0)  # read from disk by all workers, for the time left
        self._pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(self.bytes_done, os.getpid()))
        self._processes: set = set()
        self._others = set(multiprocessing.active_children())  # of whoever calls us
        self.tick: Callable[[], None] = lambda: None  # called about once a second

    def __enter__(self) -> Local:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if kind is not None:  # do not wait for what nobody will read
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in self._processes:
                process.terminate()
        self._pool.shutdown()

    def map(self, function: Callable, tasks: Iterable[tuple]) -> Iterator:
        tasks, running = iter(tasks), set()
        try:
            while True:
                # As many as there are workers, so that all that is under way is really being worked on.
                for task in itertools.islice(tasks, self._workers - len(running)):
                    running.add(self._pool.submit(_noted, self._notes, function, task))
                    self._processes |= set(multiprocessing.active_children()) - self._others
                if not running:
                    return
                done, running = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                self.tick()
                for future in done:
                    yield future.result()
        except BrokenProcessPool:
            raise self._died() from None

    def _died(self) -> Stopped:
        """What the dead worker had in hand: each notes that down before it begins."""
        ends = time.monotonic() + 5
        while time.monotonic() < ends and any(p.exitcode is None for p in self._processes):
            time.sleep(0.01)  # the pool's own thread may be taking an exit code at this very moment
        codes = {p.pid: p.exitcode for p in self._processes if p.exitcode not in (0, None)}
        # The pool ends the others with SIGTERM, so that signal tells the one that died only if there is no other.
        codes = {pid: code for pid, code in codes.items() if code != -signal.SIGTERM} or codes
        hands = [path.read_text("utf-8") for pid in codes if (path := self._notes / str(pid)).is_file()]
        how = ", ".join(f"signal {-code}" if code < 0 else f"status {code}" for code in codes.values())
        return Stopped(
            f"a worker died ({how or 'nothing says how'}) with {' or '.join(hands) or 'nothing'} in hand. Signal 9 "
            "mostly means that memory ran out: then take fewer --workers. Nothing is half written; start again to go "
            "on. If it dies there again, one of these files is more than the libraries can take: leave it out"
        )


def _noted(notes: Path, function: Callable, task: tuple):
    """``function(*task)``, after a note of what this process is about to do."""
    what = getattr(task[1], "name", task[1])  # a shard, its name, the number of a part, or all shards
    hand = f"{function.__name__} of {what if isinstance(what, (str, int)) else 'all shards'}"
    (notes / str(os.getpid())).write_text(hand, "utf-8")
    try:
        with rules.changed(dict(task[0].limits)):
            return function(*task)
    except MemoryError:
        raise Stopped(
            f"there is no memory left for the {hand}: take fewer --workers, and start again to go on"
        ) from None


def _begin(counter, parent: int) -> None:
    """In every worker process: Ctrl-C is for the parent, bytes are counted, and nobody survives the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def advance(n: int) -> None:
        with counter.get_lock():
            counter.value += n

    def leave_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    work.advance = advance
    threading.Thread(target=leave_with_parent, daemon=True).start()


class Ray:
    """Ray Data, on the cluster that RAY_ADDRESS names, else on one of its own on this machine.

    All its machines must see the input and the output folder under the same path.
    """

    def __init__(self, workers: int, out: Path):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
        if not os.environ.get("RAY_ADDRESS"):
            # A cluster is what the user names. One of our own binds to loopback, as Ray does on macOS and Windows.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise Stopped("the engine ray is not installed:  python -m pip install 'ray[data]'") from error
        self._ray, self.bytes_done, self.tick = ray, None, None
        own = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)  # what it does on the way is no news
        try:
            ray.init(**own, log_to_driver=False, logging_level="error")
        except Exception as error:
            where = os.environ.get("RAY_ADDRESS", "this machine")
            raise Stopped(f"Ray does not start on {where} ({type(error).__name__}: {error})") from error
        ray.data.DataContext.get_current().enable_progress_bars = False

    def __enter__(self) -> Ray:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._ray.shutdown()

    def map(self, function: Callable, tasks: Iterable[tuple]) -> Iterator:
        # Pickled, so that Ray's tables hold bytes, whatever a file name holds.
        rows = [{"task": pickle.dumps((function, task))} for task in tasks]
        if not rows:
            return
        blocks = self._ray.data.from_items(rows, override_num_blocks=len(rows))
        try:
            for row in blocks.map(_apply).iter_rows():
                result = pickle.loads(row["result"])
                if isinstance(result, OSError):
                    raise result
                yield result
        except self._ray.exceptions.RayError as error:  # it has tried again before
            raise Stopped(f"Ray gave up ({type(error).__name__}: {error}); start again to go on") from error


def _apply(row: dict) -> dict:
    function, task = pickle.loads(row["task"])
    try:
        with rules.changed(dict(task[0].limits)):
            result = function(*task)
    except OSError as error:
        result = error
    return {"result": pickle.dumps(result)}


ENGINES = {"local": Local, "ray": Ray}

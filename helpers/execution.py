"""One notebook in one fresh kernel, watched and interrupted from outside."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from labjournal.run import IN_PLACE

from . import course, paths

CELL_TIMEOUT = 3600  # seconds; against a hang, not a budget
KERNEL_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class Execution:
    """One notebook in one fresh kernel, in a thread of its own so that the main thread can watch and interrupt."""

    def __init__(self, notebook: course.Notebook, profile_name: str, in_place: bool = False):
        import nbformat

        self.notebook = notebook
        if not notebook.path.is_file():
            raise ValueError(f"{paths.relative(notebook.path)} is not there")
        self.node = nbformat.read(notebook.path, as_version=4)
        for cell in self.node.cells:
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        self.cells = len(self.node.cells)
        self.cell = 0
        self.error: BaseException | None = None
        self.failed_cell: int | None = None
        self.done = threading.Event()
        # The kernel stands in another folder than who said LAB_WORKSPACE=some/folder.
        moved = {"LAB_WORKSPACE": str(paths.workspace()), "PROFILE": profile_name}
        self._environment = {**os.environ, **moved, IN_PLACE: "1" if in_place else ""}
        self._client = self._loop = None
        self._stopped = False

    def start(self) -> None:
        threading.Thread(target=self._execute, daemon=True).start()

    def interrupt(self) -> None:
        """Interrupt the running cell; end the kernel if it does not close its run soon, or at a second Ctrl-C."""
        self._stopped = True
        for number in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, number):
                signal.signal(getattr(signal, number), lambda *_: self._ask("shutdown_kernel", now=True))
        if self.cell:  # before its first cell, a kernel would answer with a traceback; it ends there by itself
            self._ask("interrupt_kernel")
        if not self.done.wait(15):
            self._ask("shutdown_kernel", now=True)
            self.done.wait(15)

    def _ask(self, what: str, **how) -> None:
        """Ask something of the kernel, if there is one."""
        if self._client is not None and self._client.km is not None and self._client.km.has_kernel:
            asyncio.run_coroutine_threadsafe(getattr(self._client.km, what)(**how), self._loop)

    def text(self) -> str:
        import nbformat

        self.node.metadata = nbformat.from_dict(KERNEL_METADATA)
        return nbformat.writes(self.node) + "\n"

    def explain(self, copy: Path) -> str:
        """What a learner needs when a cell fails: which cell, its source, the error, where the copy is."""
        if self.failed_cell is None:
            return f"\n{self.notebook.name} failed outside its cells: {type(self.error).__name__}: {self.error}\n"
        source = self.node.cells[self.failed_cell].source
        indented = "\n".join("    " + line for line in source.splitlines())
        message = getattr(self.error, "evalue", str(self.error))
        name = getattr(self.error, "ename", type(self.error).__name__)
        return (
            f"\n{self.notebook.name}, cell {self.failed_cell + 1} of {self.cells} failed:\n\n{indented}\n\n"
            f"{name}: {message}\n\nthe notebook as far as it got: {paths.shown(copy)}\n"
        )

    def _execute(self) -> None:
        try:
            asyncio.run(self._execute_async())
        except BaseException as error:  # whatever it was, the main thread tells the learner
            self.error = error
        finally:
            self.done.set()

    async def _execute_async(self) -> None:
        from traitlets.config import Config

        with own_folder() as folder, open(folder / "stderr", "w+b") as complaints:
            config = Config()
            config.KernelManager.connection_file = str(folder / "kernel.json")
            if os.name == "posix":  # sockets in the file system: no open port, and no warning about one
                config.KernelManager.transport = "ipc"
                # In full: client and kernel stand in different folders.
                config.KernelManager.ip = str(folder / "kernel")
            try:
                await self._execute_cells(config, complaints)
            finally:
                complaints.seek(0)
                if not self._stopped:  # a kernel that is ended while it starts complains of its sockets
                    sys.stderr.write(complaints.read().decode("utf-8", "replace"))

    async def _execute_cells(self, config, complaints) -> None:
        from nbclient import NotebookClient

        self._loop = asyncio.get_running_loop()
        self._client = NotebookClient(
            self.node,
            config=config,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(self.notebook.path.parent)}},
            on_cell_start=self._on_cell,
            on_cell_error=self._on_error,
        )
        try:
            await self._client.async_execute(env=self._environment, stderr=complaints)
        finally:
            # Its own clean-up at exit takes the kernel to be there; who interrupted has ended it already.
            atexit.unregister(self._client._cleanup_kernel)

    def _on_cell(self, cell, cell_index: int) -> None:
        if self._stopped:
            raise RuntimeError("interrupted before this cell")
        self.cell = cell_index + 1

    def _on_error(self, cell, cell_index: int, execute_reply) -> None:
        if "raises-exception" not in cell.metadata.get("tags", []):
            self.failed_cell = cell_index


PREFIX = "course-"


@contextlib.contextmanager
def own_folder(below: Path | None = None) -> Iterator[Path]:
    """A folder that goes at the end, and those of the killed with it: below `below`, or the system's temporary folder.

    A kernel's sockets need the latter: their paths may be only some hundred bytes long. Who runs holds the lock in it,
    and the system lets go of a lock when its process ends, however it ends.
    """
    import filelock

    for path in Path(below or tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, or a lock that is held
            if time.time() - path.stat().st_mtime > 60:  # a new one may not be locked yet
                with filelock.FileLock(path / "lock", timeout=0):
                    shutil.rmtree(path, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=below) as name, filelock.FileLock(Path(name) / "lock"):
        yield Path(name)

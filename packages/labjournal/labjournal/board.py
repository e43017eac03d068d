"""A training exported for TensorBoard as it runs, with the run's configuration as its hyperparameters.

An export, not the record: TensorBoard keeps single precision, and 10,000 points of a longer series.
"""

from __future__ import annotations

from pathlib import Path


class Board:
    """Writes scalars train/loss, train/<value> and eval/<metric> into `folder`."""

    def __init__(self, folder: Path, record: dict):
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        self._writer = SummaryWriter(str(folder))
        config = {**record["config"], "seed": record["seed"]}
        simple = {k: v if isinstance(v, (bool, int, float, str)) else str(v) for k, v in config.items()}
        # As add_hparams does it, but into the same folder: that would open a second run beside this one.
        experiment, begin, self._success = hparams(simple, {"train/loss": 0.0})
        self._writer.file_writer.add_summary(experiment)
        self._writer.file_writer.add_summary(begin)

    def step(self, step: int, loss: float, values: dict[str, float]) -> None:
        for name, value in {"loss": loss, **values}.items():
            self._writer.add_scalar(f"train/{name}", value, step)

    def evaluation(self, step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(f"eval/{name}", value, step)
        self._writer.flush()

    def close(self, status: str) -> None:
        if status == "finished":  # otherwise the session stays one that has not ended well
            self._writer.file_writer.add_summary(self._success)
        self._writer.close()

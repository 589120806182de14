"""The course of a training for TensorBoard: event files below the model directory, where asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spectroflow.errors import InvalidInput
from spectroflow.storage import Location

FOLDER = "tensorboard"


@dataclass(frozen=True, slots=True)
class TensorBoardLog:
    """Writes the figures of networks; look at them with ``tensorboard --logdir MODEL/tensorboard``.

    Attributes
    ----------
    folder
        A local path; each network has a run of its own below it.
    """

    folder: str

    @classmethod
    def beside(cls, model: Location) -> TensorBoardLog:
        """Return the log of a model directory.

        Raises
        ------
        InvalidInput
            The model is not on a local disk, or no writer is installed.
        """
        if not model.is_local:
            raise InvalidInput(
                "a TensorBoard log can be written beside a model on a local disk only",
                where=str(model),
                remedy="Leave train.tensorboard off, or train into a local folder and copy it.",
            )
        try:
            import tensorboardX  # noqa: F401
        except ImportError:
            raise InvalidInput(
                "writing for TensorBoard needs the package tensorboardX",
                remedy="pip install tensorboardX, or leave train.tensorboard off.",
            ) from None
        return cls(str(model / FOLDER))

    def write(self, network: str, epoch: int, figures: Mapping[str, float]) -> None:
        """Write one look at a network; opened and closed each time, so that nothing is lost with the process."""
        from tensorboardX import SummaryWriter

        with SummaryWriter(f"{self.folder}/{network}") as writer:
            for name, value in figures.items():
                writer.add_scalar(name, value, epoch)

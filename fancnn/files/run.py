"""Where the files of a run lie."""

from dataclasses import dataclass
from pathlib import Path

BEST, LAST = "best.ckpt", "last.ckpt"


@dataclass(frozen=True)
class Run:
    """A run folder by the places of its files; which of them are there, is for others to say.

    Example:
        >>> Run(Path("outputs/train/1")).best
        PosixPath('outputs/train/1/checkpoints/best.ckpt')
    """

    folder: Path

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> "Run":
        """Return the run that a checkpoint file lies in."""
        beside = cls(checkpoint.parent)
        above = cls(checkpoint.parent.parent)
        return above if above.checkpoints == checkpoint.parent else beside

    @property
    def checkpoints(self) -> Path:
        """Return the folder of the two below."""
        return self.folder / "checkpoints"

    @property
    def best(self) -> Path:
        """Return the path of the checkpoint of the best epoch, chosen by the monitored score."""
        return self.checkpoints / BEST

    @property
    def last(self) -> Path:
        """Return the path of the checkpoint of the last epoch, from which a training resumes."""
        return self.checkpoints / LAST

    @property
    def split(self) -> Path:
        """Return which image is in which split: `fancnn.data.labeled_images`."""
        return self.folder / "split.csv"

    @property
    def skipped(self) -> Path:
        """Return files that could not be read, and why."""
        return self.folder / "skipped.csv"

    @property
    def epochs(self) -> Path:
        """Return the scores of each epoch: `fancnn.training.epoch_log`."""
        return self.folder / "metrics.csv"

    @property
    def predictions(self) -> Path:
        """Return the prediction table: `fancnn.metrics.predictions`."""
        return self.folder / "predictions.csv"

    @property
    def metrics(self) -> Path:
        """Return what the model is worth: `fancnn.runs.metrics_file`."""
        return self.folder / "metrics.json"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def hydra(self) -> Path:
        """Return the folder of the configuration as Hydra leaves it."""
        return self.folder / ".hydra"

    @property
    def configuration(self) -> Path:
        return self.hydra / "config.yaml"

    @property
    def overrides(self) -> Path:
        """Return the arguments of the command line."""
        return self.hydra / "overrides.yaml"

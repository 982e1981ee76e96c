"""The Keras original on the same folder, in an environment of its own where one is named."""

import json
import subprocess
import time
from pathlib import Path

from fancnn.errors import UserError
from fancnn.system.timing import Result

PROGRAM = """
import json, sys, time
import keras
from keras import layers
root, epochs = sys.argv[1], int(sys.argv[2])
common = dict(validation_split=0.2, seed=0, image_size=(80, 80), batch_size=32, label_mode="binary")
train = keras.utils.image_dataset_from_directory(root, subset="training", verbose=False, **common).prefetch(2)
val = keras.utils.image_dataset_from_directory(root, subset="validation", verbose=False, **common).prefetch(2)
model = keras.Sequential([
    layers.Input((80, 80, 3)), layers.Rescaling(1 / 255),
    layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Conv2D(64, 3, activation="relu"),
    layers.MaxPooling2D(), layers.Flatten(), layers.Dense(128, activation="relu"),
    layers.Dense(1, activation="sigmoid"),
])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
times = []
class Clock(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None): self.start = time.perf_counter()
    def on_epoch_end(self, epoch, logs=None): times.append(time.perf_counter() - self.start)
model.fit(train, validation_data=val, epochs=epochs, verbose=0, callbacks=[Clock()])
print(json.dumps(times))
"""


def original_run(python: Path, root: Path, epochs: int) -> dict[str, list[float]]:
    """Return the seconds of the whole run, as a process like ours, and of each epoch with validation but the first.

    Raises:
        UserError: If that Python has no Keras and TensorFlow.
    """
    command = [str(python), "-c", PROGRAM, str(root), str(epochs)]
    started = time.perf_counter()
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if finished.returncode:
        raise UserError(f"keras={python} cannot run the original: {finished.stderr.strip().splitlines()[-1]}")
    times = json.loads(finished.stdout.splitlines()[-1])
    return {"seconds": [seconds], "epochs": times[1:] or times}


def original_results(
    python: Path, root: Path, count: int, epochs: int, ours: Result, epoch: list[Result]
) -> list[Result]:
    """Return the original's figures, and ours beside them."""
    figures = original_run(python, root, epochs)
    rate = [0.8 * count / seconds for seconds in figures["epochs"]]
    compared = [
        Result(f"{item.name}, beside Keras", item.unit, [item.median], [sorted(rate)[len(rate) // 2]], "the original")
        for item in epoch
    ]
    return [
        Result("the original in Keras, epoch with validation", "images/s", rate),
        Result(f"the original in Keras, run of {epochs} epochs", "s", figures["seconds"]),
        Result(f"{ours.name}, beside Keras", "s", [ours.median], figures["seconds"], "the original"),
        *compared,
    ]

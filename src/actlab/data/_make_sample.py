"""How `sample/` was made: `python -m actlab.data._make_sample FOLDER` with the folder of the real Fashion-MNIST."""

import sys
from pathlib import Path

from ._fashion import KNOWN, read_set
from ._idx import write_idx
from ._locate import SAMPLE
from ._split import draw

TRAINING, TEST, SEED = 3000, 1000, 0


def make_sample(folder: Path, target: Path = SAMPLE) -> None:
    """Write a subset of the set in `folder` in which every class is equally frequent, as in the whole."""
    names = iter(KNOWN)
    for (images, labels), count in zip(read_set(folder, checked=True), (TRAINING, TEST), strict=True):
        chosen = draw(labels, count, SEED)
        write_idx(target / next(names), images[chosen].squeeze(1))
        write_idx(target / next(names), labels[chosen].byte())


if __name__ == "__main__":
    make_sample(Path(sys.argv[1]))

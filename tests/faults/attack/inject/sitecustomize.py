"""Put first on PYTHONPATH, this makes any command end at a point: see `faults.attack.injection`."""

import os
import sys
from pathlib import Path

if "FANCNN_FAULT" in os.environ:
    sys.path.append(str(Path(__file__).parents[3]))
    from faults.attack.injection import from_environment

    from_environment()

"""Every test imports the project from its root, runs on one thread, and finds its own place on disk."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT, ROOT / "tests"):
    sys.path.insert(0, str(folder))

# Numbers that are compared must not depend on how many cores the machine has; set before torch starts its pool.
os.environ.setdefault("OMP_NUM_THREADS", "1")

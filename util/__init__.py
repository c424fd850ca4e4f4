"""Helpers that import nothing from models, data and options."""

import os

# Waiting OpenMP threads sleep instead of spinning, unless the user has set the variable: spinning threads of two runs
# on one CPU slow both down a hundredfold (docs/speed.md). PyTorch reads the variable when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

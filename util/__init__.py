"""Helpers that know nothing of models, data and options."""

import os

# Waiting OpenMP threads sleep instead of spinning, if the user has not chosen: two runs that share a CPU otherwise slow
# each other down a hundredfold (docs/speed.md). PyTorch's threads read this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

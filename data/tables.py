"""The words of ``--preprocess``, without importing torch.

The stages look for parts of the word (data/base_dataset.py), so a first and a second stage combine freely.
"""

FIRST = ("resize", "scale_width", "scale_shortside", "zoom")
SECOND = ("crop", "patch", "trim")

PREPROCESS = (*(f"{first}_and_{second}" for second in SECOND for first in FIRST), *FIRST, *SECOND, "none")

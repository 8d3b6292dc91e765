"""Data files of the package: cards, recipes, templates, transforms, weights."""

from pathlib import Path

#: Folder of the data files.
DATA = Path(__file__).parent

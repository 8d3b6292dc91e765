"""Write the sample reports of the documentation site, docs/sample, from three simulated patients.

    bids_stroke-simulate FOLDER/bids
    bids_stroke FOLDER/bids FOLDER/derivatives participant --brain-extraction deepbet
    bids_stroke FOLDER/bids FOLDER/derivatives group
    python studies/sample_report.py FOLDER

To keep the repository small, the sample consists of the report of the first patient, the group report
and the figures of the lesions, with images of SCALE times the size, and without links to other files.
The patients are simulated on the template in nilearn (ICBM 2009a, copyright McConnell Brain Imaging
Centre, free to use and share with its notice).
"""

import json
import re
import sys
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path

from common import DOCS
from PIL import Image

from bids_stroke.reports.figures.svg import RASTER

SAMPLE = DOCS / "sample"
FILES = ("sub-01.html", "group.html", "sub-*/figures/*_desc-lesion_T1w.svg")
SCALE, QUALITY = 0.75, 40
VIEWER = re.compile(
    r'<p><a href="\S+_(?:viewer|drawing)\.html">.*?</p>|<a href="\S+_viewer\.html">.*?</a>\.'
)
VIEW = re.compile(r'<a class="view" href="\S+_viewer\.html">(.*?)</a>', re.DOTALL)
NEIGHBOR = re.compile(r'<a rel="(?:prev|next)" href="(\S+)">.*?</a>')
LINK = re.compile(r'href="(sub-\S+)"')
DATA = re.compile(r'(?<=id="data">).*?(?=</script>)', re.DOTALL)


def reduce(raster):
    """Return an embedded image as a smaller AVIF image."""
    picture = Image.open(BytesIO(b64decode(raster[1])))
    size = [max(round(SCALE * pixels), 1) for pixels in picture.size]
    stream = BytesIO()
    picture.resize(size, Image.Resampling.BOX).save(stream, "AVIF", quality=QUALITY)
    return f"data:image/avif;base64,{b64encode(stream.getvalue()).decode()}"


def without_links(page, names):
    """Remove the links of a page to files that are not in ``names``."""

    def restrict(match):
        data = json.loads(match[0])
        data["links"] = {key: link for key, link in data["links"].items() if link in names}
        data["pictures"] = [[path for path in paths if path in names] for paths in data["pictures"]]
        return json.dumps(data).replace("<", "\\u003c")

    page = VIEW.sub(r"\1", NEIGHBOR.sub(lambda link: link[0] if link[1] in names else "", page))
    page = DATA.sub(restrict, VIEWER.sub("", page))
    return LINK.sub(lambda link: link[0] if link[1] in names else "", page)


def main(folder):
    derivatives = folder / "derivatives"
    paths = sorted(path for pattern in FILES for path in derivatives.glob(pattern))
    names = {path.relative_to(derivatives).as_posix() for path in paths}
    for name in names:
        page = RASTER.sub(reduce, (derivatives / name).read_text(encoding="utf-8"))
        page = page.replace(f"{folder.resolve()}/", "")  # the machine's folders
        out = SAMPLE / name
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(without_links(page, names), encoding="utf-8")
        print(out)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))

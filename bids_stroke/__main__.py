"""``python -m bids_stroke``."""

import sys

from bids_stroke.cli.run import main

if __name__ == "__main__":
    sys.exit(main())

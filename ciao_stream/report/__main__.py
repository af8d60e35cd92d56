"""``python -m ciao_stream.report``."""

import sys

from ciao_stream.report import main

if __name__ == "__main__":
    sys.exit(main())

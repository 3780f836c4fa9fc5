"""``python -m tests.nfs.lab``: the command line of the lab."""

import sys

from tests.nfs.lab.running import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m rq_py`` is ``rqpy``."""

from __future__ import annotations

from rq_py.cli.main import main

if __name__ == "__main__":
    main()

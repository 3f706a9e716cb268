"""A run as a page: ``python -m mapmpi.report RUN_DIR``."""

import sys

from mapmpi.threads import one_thread_per_rank

one_thread_per_rank()

from mapmpi.report.run import main  # noqa: E402  (after the threads are set)

if __name__ == "__main__":
    sys.exit(main())

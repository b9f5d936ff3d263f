"""Write what the tracker makes of recorded stories beside them, to be looked through and kept.

    .venv/bin/python -m tests.cti.keep_calls                    # stories without kept calls
    .venv/bin/python -m tests.cti.keep_calls transfer/pickup    # these again

Writes nothing that disagrees with what was played, and exits with 1.
"""

from __future__ import annotations

import json
import logging
import sys

from cti.replay import replay_calls
from tests.cti.traces import TRACES, assert_as_played, kept_file, names, truth_of

log = logging.getLogger(__name__)


def keep(name: str) -> None:
    """Write the calls of one story.

    Raises:
        AssertionError: They are not those that were played.

    """
    calls = list(replay_calls(TRACES / f"{name}.ami"))
    assert_as_played(calls, truth_of(name))
    lines = [json.dumps(call, ensure_ascii=False) + "\n" for call in calls]
    kept_file(name).write_text("".join(lines), encoding="utf-8")


def main() -> int:
    """Keep the calls of the stories that the arguments name; of all new ones without any."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    new = [name for name in names() if not kept_file(name).exists()]
    wrong = 0
    for name in sys.argv[1:] or new:
        try:
            keep(name)
        except AssertionError:
            wrong += 1
            log.exception("%s: not as it was played", name)
        else:
            log.info("%s", kept_file(name))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

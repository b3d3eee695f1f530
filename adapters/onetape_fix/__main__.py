"""`python -m onetape_fix gateway CONFIG` holds a config's sessions, `sim ...` is `onetape sim`,
anything else `onetape fix`.

The gateway's process loads what it needs and nothing more: a day of 28 sessions fits in 40 MB.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(argv: list[str]) -> int:
    """Run; return the exit code."""
    if len(argv) == 2 and argv[0] == "gateway":
        from onetape_fix.gateway import process

        return process.main(Path(argv[1]))
    if argv[:1] == ["sim"]:
        from onetape_fix import cli_sim

        return cli_sim.run(argv[1:])
    from onetape_fix import cli_fix

    return cli_fix.run(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

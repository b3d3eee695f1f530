"""QuickFIX's acceptance scripts, each as it stands, against a session behind a real socket.

They run at the same time, each against a session and a port of its own. Three of each version wait
for what a session does after seconds: for those, which come last, its seconds pass faster.
"""

from __future__ import annotations

import asyncio

import pytest

from .scripts import SHARED, VERSIONS, run

FOLDER = SHARED / "definitions"
NAMES = sorted(f"{p.parent.name}/{p.stem}" for p in FOLDER.glob("*/*.def"))
WAITING = (
    "2i_BeginStringValueUnexpected",
    "4a_NoDataSentDuringHeartBtInt",
    "6_SendTestRequest",
)
FAST = 4.0  # times

pytestmark = pytest.mark.skipif(
    not NAMES, reason=f"no acceptance scripts at {FOLDER}; FIX_SHARED may say where they are"
)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What became of each script: "" where it passed."""
    found: dict[str, str] = {}

    async def one(name: str, speed: float) -> None:
        try:
            await run(FOLDER / f"{name}.def", speed)
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
        else:
            found[name] = ""

    async def every() -> None:
        waiting = [name for name in NAMES if name.endswith(WAITING)]
        others = [name for name in NAMES if name not in waiting]
        await asyncio.gather(*(one(name, 1.0) for name in others))
        await asyncio.gather(*(one(name, FAST) for name in waiting))

    asyncio.run(every())
    return found


def test_all_scripts_of_the_three_versions_are_there() -> None:
    counted = {version: sum(n.startswith(f"{version}/") for n in NAMES) for version in VERSIONS}
    assert counted == {"fix42": 58, "fix44": 59, "fix50sp2": 60}


@pytest.mark.parametrize("name", NAMES)
def test_an_acceptor_keeps_to_the_script(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == ""

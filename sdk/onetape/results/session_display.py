# pyright: standard
"""A session's card that keeps up with the session while a notebook's cell shows it.

One thread a session draws the card anew once a second into the displays that were asked for last,
by their display ids: nothing is added to a cell's output, and nothing is drawn any more once the
session has ended. Without a notebook the session is printed.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from onetape.results import session_page as page
from onetape.results.session_view import seen
from onetape.run.folder import ENDED

if TYPE_CHECKING:
    from onetape.results.session_handle import Session

EVERY_S = 1.0
DISPLAYS = 3  # of one session that are kept up to date
_drawing: dict[Path, _Drawing] = {}
_mutex = threading.Lock()


def show(session: Session) -> None:
    """Show a session in the running cell, and keep what is shown up to date."""
    from IPython import get_ipython
    from IPython.display import display

    if not hasattr(get_ipython(), "kernel"):  # a terminal
        print(repr(session))  # noqa: T201
        return
    shown = f"onetape-{uuid4().hex}"
    display(_bundle(session), raw=True, display_id=shown)
    with _mutex:
        drawing = _drawing.get(session.folder)
        if drawing is None or not drawing.is_alive():
            drawing = _drawing[session.folder] = _Drawing(session)
            drawing.begin(shown)
        else:
            drawing.begin(shown)


def _bundle(session: Session) -> dict[str, Any]:
    view = seen(session.folder)
    return {
        "text/plain": page.told(session.spec, view),
        "text/html": page.card(session.spec, view),
    }


class _Drawing(threading.Thread):
    def __init__(self, session: Session) -> None:
        super().__init__(name=f"card of {session.id}", daemon=True)
        self._session = session
        self._shown: list[str] = []
        self._ends = threading.Event()

    def begin(self, shown: str) -> None:
        """Keep a display up to date, and let go of the oldest ones."""
        self._shown = [*self._shown, shown][-DISPLAYS:]
        if not self.is_alive():
            self.start()

    def run(self) -> None:
        from IPython.display import display

        over = False
        while not over:
            self._ends.wait(EVERY_S)
            view = seen(self._session.folder)
            over = view.state in (*ENDED, "lost") and not view.alive
            for shown in self._shown:
                try:
                    display(_bundle(self._session), raw=True, display_id=shown, update=True)
                except Exception:  # the kernel ends, and its sockets go first: nobody looks
                    return

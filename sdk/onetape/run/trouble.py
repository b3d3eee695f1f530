# pyright: standard
"""A strategy's own error, told with its own traceback, what was being handled, and when."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from onetape.errors import OnetapeError, StrategyError, TapeError

if TYPE_CHECKING:
    from onetape.run.host import Host


def strategy_error(host: Host, error: BaseException, handler: str, event: Any) -> BaseException:
    """Return what to raise for an error in a handler: StrategyError, or as it is a wish to stop
    and a tape that cannot be written."""
    if isinstance(error, (KeyboardInterrupt, SystemExit, TapeError)):
        return error
    inner = error.__traceback__
    frames = [f for f in traceback.extract_tb(inner) if "/onetape/run/" not in f.filename]
    place = f" ({frames[0].filename}:{frames[0].lineno})" if frames else ""
    while inner is not None and inner.tb_next is not None and _ours(inner):
        inner = inner.tb_next  # begin the shown traceback in the user's own code
    where = "" if event is None else f" while handling {_said(event)}"
    what = f"{type(error).__name__}: {error}"
    hint = "" if not isinstance(error, OnetapeError) else " (the message says what to try)"
    made = StrategyError(f"{host.name}.{handler} raised {what}{where}{place}{hint}")
    made.__cause__ = error.with_traceback(inner)
    return made


def _ours(frame: Any) -> bool:
    return "/onetape/run/" in frame.tb_frame.f_code.co_filename.replace("\\", "/")


def _said(event: Any) -> str:
    ts = getattr(event, "ts_event", None)
    at = "" if ts is None else f" at {datetime.fromtimestamp(ts / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{type(event).__name__} {event}{at}"

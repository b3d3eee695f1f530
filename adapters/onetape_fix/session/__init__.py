"""A FIX session: its state machine, what it keeps, its settings, and the sockets under it.

Two parts that meet in `Session`: what a session does (`machine` and its floors, without sockets and
without a clock of its own) and what it stands on (settings, secrets, schedule, store, transport).
"""

from onetape_fix.session.acceptor import Acceptor, Limits, by_comp_ids, shared
from onetape_fix.session.application import (
    CODES,
    Alarm,
    Application,
    Clock,
    Link,
    NotLoggedOn,
    Rejected,
    SystemClock,
    Unsupported,
)
from onetape_fix.session.facts import Facts
from onetape_fix.session.journal import Journal
from onetape_fix.session.machine import Session
from onetape_fix.session.schedule import NON_STOP, Schedule
from onetape_fix.session.secrets import Secret, mask
from onetape_fix.session.settings import (
    Checks,
    GatewayConfig,
    SessionConfig,
    Settings,
    Tls,
    read,
)
from onetape_fix.session.store import MemoryStore, Record, Store, StoreError
from onetape_fix.session.transport import Dialer, pulse

__all__ = [
    "CODES",
    "NON_STOP",
    "Acceptor",
    "Alarm",
    "Application",
    "Checks",
    "Clock",
    "Dialer",
    "Facts",
    "GatewayConfig",
    "Journal",
    "Limits",
    "Link",
    "MemoryStore",
    "NotLoggedOn",
    "Record",
    "Rejected",
    "Schedule",
    "Secret",
    "Session",
    "SessionConfig",
    "Settings",
    "Store",
    "StoreError",
    "SystemClock",
    "Tls",
    "Unsupported",
    "by_comp_ids",
    "mask",
    "pulse",
    "read",
    "shared",
]

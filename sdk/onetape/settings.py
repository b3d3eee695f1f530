"""Settings: where things are, from the environment, read once by the command line.

ONETAPE_CATALOG   the catalog that commands use when none is named (default: ./catalog)
ONETAPE_DEMO      the folder that `onetape demo` writes into (default: ./onetape-demo)
ONETAPE_TAPE      the URL of the tape's PostgreSQL (default: none, the embedded server)
ONETAPE_HOME      the folder of the embedded server's data (default: the user's data folder)
ONETAPE_VAULT_KEY where the master key of personal data is: a file, or env:NAME (default: a file
                  of its own beside the embedded server's data)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from onetape.errors import SettingsError

KNOWN = {
    "ONETAPE_CATALOG": "catalog",
    "ONETAPE_DEMO": "demo",
    "ONETAPE_TAPE": "tape",
    "ONETAPE_HOME": "home",
    "ONETAPE_VAULT_KEY": "vault_key",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are."""

    catalog: str = "catalog"
    demo: str = "onetape-demo"
    tape: str = ""
    home: str = ""
    vault_key: str = ""


def settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of an environment, by default the process's own.

    Raises SettingsError for a variable that begins with ONETAPE_ and means nothing.
    """
    given = os.environ if environment is None else environment
    ours = {name: value for name, value in given.items() if name.startswith("ONETAPE_")}
    for name in ours:
        if name not in KNOWN:
            raise SettingsError(
                f"{name} is set and means nothing; known: {', '.join(sorted(KNOWN))}"
            )
    return Settings(**{KNOWN[name]: value for name, value in ours.items()})

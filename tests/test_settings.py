"""Settings: read from the environment, with nothing misspelt let through."""

from __future__ import annotations

import pytest

from onetape.errors import SettingsError
from onetape.settings import Settings, settings


def test_without_settings_the_tape_is_the_embedded_one_in_the_users_own_folder() -> None:
    assert settings({}) == Settings(tape="", home="")


def test_the_tapes_server_and_folder_can_be_set() -> None:
    found = settings({"ONETAPE_TAPE": "postgresql:///tape", "ONETAPE_HOME": "/srv/tape"})
    assert (found.tape, found.home) == ("postgresql:///tape", "/srv/tape")


def test_a_misspelt_setting_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match=r"ONETAPE_TAP is set.*ONETAPE_HOME, ONETAPE_TAPE"):
        settings({"ONETAPE_TAP": "x", "HOME": "/root"})

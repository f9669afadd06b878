"""The folders of caches and data, also for a user whom the system does not know."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from membership.errors import InvalidConfiguration
from settings import cache_dir, state_dir

NAMES = ("HOME", "MEMBERFLOW_CACHE", "XDG_CACHE_HOME", "XDG_STATE_HOME")


@pytest.fixture
def nameless(monkeypatch):
    """A user ID without an entry in the system's list, and without a home in the environment."""

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(("folder", "variable"), [(cache_dir, "XDG_CACHE_HOME"), (state_dir, "XDG_STATE_HOME")])
def test_a_user_without_a_home_is_told_what_to_set(nameless, folder, variable):
    with pytest.raises(InvalidConfiguration, match=f"no home directory: set HOME or {variable}"):
        folder()
    nameless.setenv(variable, "/var/memberflow")
    assert folder() == Path("/var/memberflow/memberflow")


def test_a_cache_of_its_own(nameless):
    nameless.setenv("MEMBERFLOW_CACHE", "/cache")
    assert cache_dir() == Path("/cache")

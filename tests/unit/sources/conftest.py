"""What the tests of sources have in common."""

import pytest


@pytest.fixture
def short_backoff(monkeypatch):
    """Whoever asks again asks soon."""
    monkeypatch.setattr("daycast.sources.http.response.FIRST_BACKOFF_S", 0.01)

"""Fixtures of the end-to-end tests; see lib/harness.py."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402

harness.environment()


@pytest.fixture(scope="session")
def services(tmp_path_factory):
    return harness.load_api(str(tmp_path_factory.mktemp("api")))


@pytest.fixture
def world(services):
    made = harness.World(services)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def short_folder(services):
    """For what the tests of a file share."""
    made = harness.World(services)
    yield made.folder
    made.end()

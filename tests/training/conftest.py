"""What tests of whole runs share."""

import json

import pytest

from stablefit.training import job, settings
from tests import tiny


@pytest.fixture(scope="module")
def prepare(one_block_root):
    """`prepare(**changes)`: a tiny job; jobs of equal settings are loaded once."""
    jobs = {}

    def make(**changes):
        key = json.dumps(changes)
        if key not in jobs:
            jobs[key] = job.load(settings.read(tiny.config(one_block_root, **changes)))
        return jobs[key]

    return make

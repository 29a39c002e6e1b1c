"""How many runs a device is given at once."""

from types import SimpleNamespace

import jax
import pytest

from stablefit.training import cohort

GIB = 1 << 30


@pytest.mark.parametrize(
    ("platform", "devices", "runs", "member_bytes", "size"),
    [
        ("cpu", 1, 10, GIB, 1),
        ("cpu", 4, 10, GIB, 2),
        ("gpu", 1, 10, GIB, 10),
        ("gpu", 1, 40, GIB, 20),  # 32 and 8 would be two programs
        ("gpu", 1, 10, 20 * GIB, 3),  # 3 fit: four cohorts
        ("gpu", 1, 10, 80 * GIB, 1),  # does not fit by the estimate, and is tried
        ("tpu", 4, 300, GIB, 100),
        ("tpu", 4, 10, 80 * GIB, 1),  # the devices share the batch
    ],
)
def test_the_default_size(monkeypatch, platform, devices, runs, member_bytes, size):
    device = SimpleNamespace(platform=platform, memory_stats=lambda: {"bytes_limit": 80 * GIB})
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    assert cohort.default_size(runs, lambda: member_bytes) == size

"""How properties are run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def examples(count: int) -> settings:
    """Try *count* examples, however slow the machine is that day."""
    return settings(deadline=None, max_examples=count, suppress_health_check=[HealthCheck.too_slow])

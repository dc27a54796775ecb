"""When codes expire."""

from datetime import UTC, datetime

import pytest

from agcod_async.emulator.expiry import expires_at

NEVER = None


@pytest.mark.parametrize(
    ("created_at", "currency", "end"),
    [
        ((2026, 3, 2, 12), "USD", NEVER),
        ((2026, 3, 2, 12), "CAD", NEVER),
        ((2026, 3, 2, 12), "AUD", NEVER),
        # Recorded ends of day: 14:59:59 in Japan; 21:59:59, 22:59:59 or 23:59:59 in Europe.
        ((2026, 3, 2, 12), "JPY", (2036, 3, 2, 14, 59, 59)),
        ((2026, 3, 2, 16), "JPY", (2036, 3, 3, 14, 59, 59)),
        ((2026, 3, 4, 12), "EUR", (2036, 3, 4, 22, 59, 59)),
        ((2026, 7, 1, 12), "EUR", (2036, 7, 1, 21, 59, 59)),
        ((2026, 3, 4, 12), "GBP", (2036, 3, 4, 23, 59, 59)),
        ((2026, 7, 1, 12), "GBP", (2036, 7, 1, 22, 59, 59)),
        ((2024, 2, 29, 12), "EUR", (2034, 2, 28, 22, 59, 59)),
        ((2026, 3, 2, 12), "XYZ", (2036, 3, 2, 23, 59, 59)),
    ],
)
def test_codes_last_ten_years_to_the_end_of_the_local_day(created_at, currency, end):
    """Where they expire at all; a currency that nobody knows gets the day of Greenwich."""
    expected = end and datetime(*end, tzinfo=UTC)
    assert expires_at(datetime(*created_at, tzinfo=UTC), currency) == expected

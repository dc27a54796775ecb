"""What reads bytes from outside, fed with anything: ``python -m tests.fuzz --seconds 120``."""

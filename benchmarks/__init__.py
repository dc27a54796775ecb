"""How fast the package is, beside what a reader would use otherwise: ``python -m benchmarks``."""

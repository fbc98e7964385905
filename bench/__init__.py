"""Benchmarks: Sanctum against a bare server and against others that do the same job; `scripts/bench` runs them."""

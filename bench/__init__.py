"""Benchmarks that compare Sanctum with a bare server and with other libraries; `scripts/bench` runs them."""

"""The metrics and the health of a worker, for Prometheus, for probes, and for `sanctum workers`.

recorder   the counts and times that the loops report: pure, and the source of the other modules
tasks      the state of the background tasks, and the last error
histogram  the distribution of a number
table      one row for each metric: name, kind, labels, description, and how to read it from the recorder
health     whether the loops make progress, and whether the worker is ready
collector  the table as metrics of the Prometheus client
http       metrics and probes over HTTP
"""

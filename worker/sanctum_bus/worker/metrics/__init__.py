"""What a worker knows of itself: counted where it works, read by Prometheus, by probes, and from Redis.

tally      what the loops report: pure, and all that the others read
histogram  how often a number was how large
table      the metrics, each one row: name, kind, meaning, how it is read from the tally
health     whether the loops turn, and whether the worker takes part
record     the same for people: what `sanctum workers` shows
watch      asks now and then how far the runs are behind, and tells the server
page       the documentation of the metrics
collector  the table for Prometheus, read when it is asked for
server     metrics and probes over HTTP
"""

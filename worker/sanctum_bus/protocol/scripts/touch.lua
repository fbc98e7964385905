#!lua flags=allow-oom
-- Keeps in the index that a run had an event just now. Time is the server's own, for ids may be anybody's.
--
-- KEYS: runs
-- ARGV: run id
local time = redis.call('TIME')
return redis.call('ZADD', KEYS[1], 'GT', time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])

#!lua flags=allow-oom
-- Extends the lease of a worker, and removes workers whose lease has ended. Times are the server's.
--
-- KEYS: workers
-- ARGV: worker ID; milliseconds from now until the lease ends, 0 if the worker leaves
-- Returns: the time in ms, then the IDs of the workers that are alive.
local now = now_ms()
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. now)
local reply = {now}
for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do reply[#reply + 1] = worker end
return reply

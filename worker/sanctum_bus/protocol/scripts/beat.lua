#!lua flags=allow-oom
-- Says that a worker is alive, and forgets those whose time is over. Time is the server's own.
--
-- KEYS: workers
-- ARGV: worker id, for how many ms it counts as alive from now; 0: it leaves
-- Returns: the time in ms, then the ids of the workers that are alive.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. now)
local reply = {now}
for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do reply[#reply + 1] = worker end
return reply

#!lua flags=allow-oom
-- Locks a run for some time: fences its owner, and lets no worker acquire the run until the time has passed or the
-- caller has replaced the snapshot. Another call extends the lock.
--
-- KEYS: checkpoint, none
-- ARGV: milliseconds
-- Returns: generation and version; or nothing if there is no whole checkpoint.
if type_of(KEYS[1]) ~= 'hash' then return {} end
local known = redis.call('HMGET', KEYS[1], 'generation', 'version')
if not (known[2] and known[2]:match('^%d+-%d+$')) then return {} end
local now = now_ms()
local generation = string.format('%.0f', math.max(now, (tonumber(known[1]) or 0) + 1))
redis.call('HSET', KEYS[1], 'generation', generation, 'owner', '',
  'held_until', string.format('%.0f', now + tonumber(ARGV[1])))
return {generation, known[2]}

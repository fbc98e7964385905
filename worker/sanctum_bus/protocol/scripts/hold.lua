#!lua flags=allow-oom
-- Holds a run still for a moment: fences its owner, and lets nobody take it over until the time is up or the snapshot
-- that the caller brings is in its place. Called again, it holds on for as long again.
--
-- KEYS: checkpoint, none
-- ARGV: for how many ms
-- Returns: generation and version;  or nothing where there is no whole checkpoint.
if type_of(KEYS[1]) ~= 'hash' then return {} end
local known = redis.call('HMGET', KEYS[1], 'generation', 'version')
if not (known[2] and known[2]:match('^%d+-%d+$')) then return {} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local generation = string.format('%.0f', math.max(now, (tonumber(known[1]) or 0) + 1))
redis.call('HSET', KEYS[1], 'generation', generation, 'owner', '',
  'held_until', string.format('%.0f', now + tonumber(ARGV[1])))
return {generation, known[2]}

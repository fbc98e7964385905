#!lua flags=allow-oom
-- Gives a run up: to another worker, or (with nothing unread) to sleep, when the names of sections that went go too.
--
-- KEYS: events, checkpoint, sections, none
-- ARGV: generation, "1" to sleep, group
-- Returns: 1 if it was given up, 0 if it is not the caller's any more, or there is something to see to first.
local events, checkpoint, index = unpack(KEYS)
if type_of(checkpoint) ~= 'hash' then return 0 end
local known = redis.call('HMGET', checkpoint, 'generation', 'version', 'indexed')
if known[1] ~= ARGV[1] then return 0 end
if ARGV[2] == '1' then
  if type_of(events) == 'stream' then
    if stream_info(events)['last-generated-id'] ~= known[2] then return 0 end
    -- Somebody has read what is folded already: the next empty commit sees to it.
    local pending = redis.pcall('XPENDING', events, ARGV[3])
    if pending.err or pending[1] > 0 then return 0 end
  end
  if redis.call('HLEN', index) ~= (tonumber(known[3] or 0) or 0) then return 0 end
  local names = redis.call('HGETALL', index)
  for i = 1, #names, 2 do
    if names[i + 1]:sub(1, 1) == '-' then redis.call('HDEL', index, names[i]) end
  end
  redis.call('HSET', checkpoint, 'indexed', redis.call('HLEN', index))
end
redis.call('HSET', checkpoint, 'owner', '')
return 1

#!lua flags=allow-oom
-- Clears the owner of a run. An idle run is released only if nothing is unread; then the names of removed sections are
-- deleted from the index.
--
-- KEYS: events, checkpoint, sections, none
-- ARGV: generation; "1" if the run is idle; group
-- Returns: 1 if the run was released; 0 if another worker has acquired it, or if the caller has to read or commit first.
local events, checkpoint, index = unpack(KEYS)
if type_of(checkpoint) ~= 'hash' then return 0 end
local known = redis.call('HMGET', checkpoint, 'generation', 'version', 'indexed')
if known[1] ~= ARGV[1] then return 0 end
if ARGV[2] == '1' then
  if type_of(events) == 'stream' then
    if stream_info(events)['last-generated-id'] ~= known[2] then return 0 end
    -- Another client has read entries that are folded already. The next ownership check finds and repairs this.
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

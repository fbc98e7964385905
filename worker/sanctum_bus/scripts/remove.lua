#!lua flags=allow-oom
-- Removes a run: every key of it at once. An owner that is at work is fenced, for its checkpoint is gone.
--
-- KEYS: sections, none, then the other keys of the run
-- ARGV: what keys of sections begin with; where it is given, the version that the stream's last id must be
-- Returns: how many keys were removed; -1 if there is something unread.
if ARGV[2] then
  local events, checkpoint = ARGV[1] .. 'events', ARGV[1] .. 'checkpoint'
  if type_of(events) == 'stream' and stream_info(events)['last-generated-id'] ~= redis.call('HGET', checkpoint, 'version') then
    return -1
  end
end
local removed = 0
if type_of(KEYS[1]) == 'hash' then
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    removed = removed + redis.call('UNLINK', ARGV[1] .. name)
  end
end
for i = 1, #KEYS do removed = removed + redis.call('UNLINK', KEYS[i]) end
return removed

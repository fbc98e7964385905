#!lua flags=allow-oom
-- Removes every key of a run at once. The checkpoint is removed too, so the next commit of an owner is refused.
--
-- KEYS: sections, none, then the other keys of the run
-- ARGV: what keys of sections begin with; optionally the generation and the version that the run must still have, "" if
--       it had none
-- Returns: how many keys were removed; -1 if a worker has acquired or folded the run, or if an entry is unread.
if ARGV[2] then
  local events, checkpoint = ARGV[1] .. 'events', ARGV[1] .. 'checkpoint'
  local known = redis.call('HMGET', checkpoint, 'generation', 'version')
  if (known[1] or '') ~= ARGV[2] or (known[2] or '') ~= ARGV[3] then return -1 end
  if type_of(events) == 'stream' and stream_info(events)['last-generated-id'] ~= ARGV[3] then return -1 end
end
local removed = 0
if type_of(KEYS[1]) == 'hash' then
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    removed = removed + redis.call('UNLINK', ARGV[1] .. name)
  end
end
for i = 1, #KEYS do removed = removed + redis.call('UNLINK', KEYS[i]) end
return removed

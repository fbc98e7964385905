#!lua flags=allow-oom
-- Replaces the snapshot of a run by another one of the same version, in one atomic step.
-- Scripts do not roll back, so: check, mark, write, unmark. A run whose version is `torn` starts a new history.
--
-- KEYS: events, checkpoint, sections, coverage, log, batches, dead, recent, none, then one for each section to write
-- ARGV: what keys of sections begin with; generation; version; ID of the first entry that was folded; number of entries
--       that the stream had lost; channel and message for `notify_followers`; then what `read_changes` reads
-- Returns: "ok"; or "refused", the guard that failed, and what it found. If refused, nothing is written.
local events, checkpoint, index, coverage, log, batches, dead, recent = unpack(KEYS, 1, 8)
local base, generation, version, first, missing, channel, message = unpack(ARGV, 1, 7)
local changes = read_changes(8)

-- Check: no worker has acquired the run, and none has committed.
if type_of(checkpoint) ~= 'hash' then return {'refused', 'checkpoint', type_of(checkpoint)} end
local known = redis.call('HMGET', checkpoint, 'generation', 'version')
if known[1] ~= generation then return {'refused', 'generation', tostring(known[1])} end
if known[2] ~= version then return {'refused', 'version', tostring(known[2])} end
if type_of(events) ~= 'stream' then return {'refused', 'stream', type_of(events)} end

-- Mark. If a command fails from here on, the version shows that the run is torn.
redis.call('HSET', checkpoint, 'version', 'torn')

-- Delete the old snapshot. Dead letters of entries that were folded again are deleted too: the fold has parked them again.
if type_of(index) == 'hash' then
  for _, name in ipairs(redis.call('HKEYS', index)) do redis.call('DEL', base .. name) end
end
redis.call('DEL', index, coverage, log, batches, recent)
if type_of(dead) ~= 'stream' then
  redis.call('DEL', dead)
else
  delete_dead_letters(dead, function(source) return not id_less(source, first) end)
end

-- Write the new one.
note_recent(recent, write_index(index, changes.sections))
write_sections(changes.sections)
call_sliced('HSET', checkpoint, changes.checkpoint)
call_sliced('HSET', coverage, changes.coverage)
append_lines(log, changes.log)
append_lines(batches, changes.batches)
add_dead_letters(dead, changes.dead_letters)
if type_of(dead) == 'stream' then redis.call('XTRIM', dead, 'MAXLEN', changes.dead_letters.max) end

-- Entries that the stream had lost count as read: the new snapshot reports their loss. The stream may still hold, unread,
-- the replacement of an entry that was parked again: see requeue.lua.
redis.call('HSET', checkpoint, 'entries_before', -tonumber(missing),
  'indexed', redis.call('HLEN', index), 'covered', redis.call('HLEN', coverage),
  'meets_again_until', stream_info(events)['last-generated-id'], 'attempts', 0)
redis.call('HDEL', checkpoint, 'held_until')

-- Unmark.
redis.call('HSET', checkpoint, 'version', version)
notify_followers(channel, message)
return {'ok'}

#!lua flags=allow-oom
-- Puts another snapshot of the same version in a run's place, in one atomic step: what the old one had goes.
-- Scripts do not roll back, so: check, mark, write, unmark. A run whose version is `torn` starts a new history.
--
-- KEYS: events, checkpoint, sections, coverage, log, batches, dead, recent, none, then one for each section that is written
-- ARGV: what keys of sections begin with, generation, version, id of the first entry that was folded, how many entries
--       the stream had lost; then, each with its number in front: sections (name, id of the change, `=`, length, fields);
--       checkpoint (flat); coverage (flat); log lines (id, length, fields), cap; batch lines likewise, cap;
--       parked entries (length, fields), cap in entries; then channel, hint as `tell_followers` takes it.
-- Returns: "ok", or "refused", which guard, and what was seen. What is refused has changed nothing.
local SLICE = 4000
local events, checkpoint, index, coverage, log, batches, dead, recent = unpack(KEYS, 1, 8)
local base, generation, version, first, missing = unpack(ARGV, 1, 5)
local at = 6

local function take()
  at = at + 1
  return ARGV[at - 1]
end

local function call_sliced(command, key)
  local length = tonumber(take())
  for i = at, at + length - 1, SLICE do
    redis.call(command, key, unpack(ARGV, i, math.min(i + SLICE, at + length) - 1))
  end
  at = at + length
end

local function append(key, id)
  local length = tonumber(take())
  redis.call('XADD', key, id, unpack(ARGV, at, at + length - 1))
  at = at + length
end

-- Check: nobody has taken the run over, nobody has folded on.
if type_of(checkpoint) ~= 'hash' then return {'refused', 'checkpoint', type_of(checkpoint)} end
local known = redis.call('HMGET', checkpoint, 'generation', 'version')
if known[1] ~= generation then return {'refused', 'generation', tostring(known[1])} end
if known[2] ~= version then return {'refused', 'version', tostring(known[2])} end
if type_of(events) ~= 'stream' then return {'refused', 'stream', type_of(events)} end

-- Mark. Whatever fails from here on leaves a run that says so.
redis.call('HSET', checkpoint, 'version', 'torn')

-- Write: first what goes, then what comes.
if type_of(index) == 'hash' then
  for _, name in ipairs(redis.call('HKEYS', index)) do redis.call('DEL', base .. name) end
end
redis.call('DEL', index, coverage, log, batches, recent)
if type_of(dead) ~= 'stream' then
  redis.call('DEL', dead)
else
  drop_letters(dead, function(source) return not id_less(source, first) end)
end

for i = 1, tonumber(take()) do
  local name, id = take(), take()
  take()
  redis.call('DEL', KEYS[9 + i])
  call_sliced('HSET', KEYS[9 + i])
  redis.call('HSET', index, name, id)
end
note_recent(recent, redis.call('HGETALL', index))
call_sliced('HSET', checkpoint)
call_sliced('HSET', coverage)
for _, key in ipairs({log, batches}) do
  for _ = 1, tonumber(take()) do append(key, take()) end
  take()
end
for _ = 1, tonumber(take()) do append(dead, '*') end
if type_of(dead) == 'stream' then redis.call('XTRIM', dead, 'MAXLEN', take()) else take() end

-- The entries that the stream had lost before are counted as read: their loss is told already. What was parked once
-- more may have its stand-in among the entries that nobody has read yet: see requeue.lua.
redis.call('HSET', checkpoint, 'entries_before', -tonumber(missing),
  'indexed', redis.call('HLEN', index), 'covered', redis.call('HLEN', coverage),
  'meets_again_until', stream_info(events)['last-generated-id'], 'attempts', 0)
redis.call('HDEL', checkpoint, 'held_until')

-- Unmark.
redis.call('HSET', checkpoint, 'version', version)
tell_followers(take(), take())
return {'ok'}

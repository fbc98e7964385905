#!lua flags=allow-oom
-- Takes a run over, or starts it over: the one recovery path.
--
-- KEYS: events, checkpoint, sections, coverage, log, batches, dead, recent, none
-- ARGV: what keys of sections begin with, group, owner, "1" if the last attempt failed for a reason outside the
--       entries, schema that the owner writes, oldest schema that it can bring up to date
-- Returns: "taken", generation, version, attempts, "1" for a new history, id up to which the stream lost entries
--          unread or "", how many entries that were, "1" if there is a stream;  or "gone" where there is neither
--          stream nor checkpoint;  or "held";  or "wrongtype", a key and its type;  or "newer" and the schema, where
--          a newer version wrote the checkpoint. Only "taken" has changed anything.
local events, checkpoint, index, coverage, log, batches, dead, recent = unpack(KEYS)
local base, group, owner, innocent, schema, oldest = unpack(ARGV)

local source = type_of(events)
if source ~= 'stream' and source ~= 'none' then return {'wrongtype', events, source} end
if source == 'none' and type_of(checkpoint) == 'none' then return {'gone'} end

local stored = type_of(checkpoint) == 'hash' and redis.call('HGETALL', checkpoint) or {}
local known = {}
for i = 1, #stored, 2 do known[stored[i]] = stored[i + 1] end

local function counted(name)
  return tonumber(known[name] or 0) or 0
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if counted('held_until') > now then return {'held'} end
local written_in = tonumber((known.schema or ''):match('^%d+$') or 0)
if written_in > tonumber(schema) then return {'newer', known.schema} end
local generation = math.max(now, counted('generation') + 1)
local attempts = counted('attempts') + (innocent == '1' and 0 or 1)

-- A checkpoint is whole when its last commit was, and all that it speaks of is there.
local function length_of(key)
  local kind = type_of(key)
  if kind == 'hash' then return redis.call('HLEN', key) end
  return kind == 'none' and 0 or -1
end

local version = known.version
local named = type_of(index) == 'hash' and redis.call('HGETALL', index) or {}
local whole = version and version:match('^%d+-%d+$') and true or false
whole = whole and written_in >= tonumber(oldest)
whole = whole and length_of(index) == counted('indexed') and length_of(coverage) == counted('covered')
for i = 1, #named, 2 do
  if named[i + 1]:sub(1, 1) ~= '-' and type_of(base .. named[i]) ~= 'hash' then whole = false end
end

local entries, before = counted('entries'), counted('entries_before')
if not whole then
  -- The generation stays whatever fails from here on: by a clock that has gone back the next would be a lesser one.
  if #stored == 0 then redis.call('DEL', checkpoint) else redis.call('HSET', checkpoint, 'version', 'torn') end
  for i = 1, #stored, 2 do
    local name = stored[i]
    if name ~= 'generation' and name ~= 'version' and name ~= 'schema' then redis.call('HDEL', checkpoint, name) end
  end
  for i = 1, #named, 2 do redis.call('DEL', base .. named[i]) end
  redis.call('DEL', index, coverage, log, batches, recent)
  version, entries, before = '0-0', 0, 0
end

local lost_until, lost, added, first = '', 0, 0, nil
local meets_again = not whole and '0-0'
if source == 'stream' then
  local info = stream_info(events)
  added = info['entries-added']
  -- The stream was replaced: its ids would never be delivered. The state stays, the reading begins anew.
  local last = info['last-generated-id']
  if id_less(last, version) then version, before, meets_again = '0-0', entries, last end
  if not whole then meets_again = last end
  -- A trim leaves no trace but the number of entries ever added; a deletion leaves its greatest id.
  first = info['first-entry'] and info['first-entry'][1]
  lost = math.max(0, added - (entries - before) - info['length'])
  if id_less(version, info['max-deleted-entry-id']) then
    lost_until = info['max-deleted-entry-id']
  elseif lost > 0 and (not first or id_less(version, first)) then
    lost_until = first or last
  end
end

-- Lines bear the ids of their entries: what is ahead of the version would let none be added.
local function forget_after(key, id)
  local kind = type_of(key)
  if kind ~= 'stream' then
    redis.call('DEL', key)
  elseif id_less(id, stream_info(key)['last-generated-id']) then
    local kept = redis.call('XRANGE', key, '-', id)
    redis.call('DEL', key)
    for _, line in ipairs(kept) do redis.call('XADD', key, line[1], unpack(line[2])) end
  end
end

forget_after(log, version)
forget_after(batches, version)
if type_of(recent) ~= 'zset' then redis.call('DEL', recent) end

-- A new history meets again what was parked and is still in the stream.
if type_of(dead) ~= 'stream' then
  redis.call('DEL', dead)
elseif first and not whole then
  drop_letters(dead, function(source) return not id_less(source, first) end)
end

-- Up to there the stream may hold, unread, the stand-in of an entry that is parked once more: see requeue.lua.
if meets_again then redis.call('HSET', checkpoint, 'meets_again_until', meets_again) end

generation = string.format('%.0f', generation)
redis.call('HSET', checkpoint, 'version', version, 'generation', generation, 'owner', owner,
  'attempts', attempts, 'entries', entries, 'entries_before', before,
  -- Sections of an older schema are as they were until the first commit.
  'schema', whole and known.schema or schema)

-- From here `>` gives, in order, exactly what was not committed, whatever had become of the group.
if source == 'stream' then
  redis.pcall('XGROUP', 'DESTROY', events, group)
  redis.call('XGROUP', 'CREATE', events, group, version, 'ENTRIESREAD', math.min(entries - before, added))
end
return {'taken', generation, version, attempts, whole and '0' or '1', lost_until, lost,
  source == 'stream' and '1' or '0'}

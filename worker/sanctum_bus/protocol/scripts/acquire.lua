#!lua flags=allow-oom
-- Makes a worker the owner of a run: the one recovery path. The group restarts after the checkpoint's version.
--
-- KEYS: events, checkpoint, sections, coverage, log, batches, dead, recent, none
-- ARGV: what keys of sections begin with; group; owner; "1" if the last attempt failed for a reason outside the entries;
--       schema that the owner writes; oldest schema that the owner can upgrade
-- Returns: "acquired", generation, version, attempts, "1" for a new history, ID up to which the stream lost unread
--          entries or "", number of these entries, "1" if there is a stream;
--          or "gone" if there is neither a stream nor a checkpoint;
--          or "locked" if a rebuild is replacing the snapshot;
--          or "wrongtype", a key and its type;
--          or "newer" and the schema, if a newer version wrote the checkpoint.
--          Only "acquired" has changed anything.
local events, checkpoint, index, coverage, log, batches, dead, recent = unpack(KEYS)
local base, group, owner, blameless, schema, oldest = unpack(ARGV)

local source = type_of(events)
if source ~= 'stream' and source ~= 'none' then return {'wrongtype', events, source} end
if source == 'none' and type_of(checkpoint) == 'none' then return {'gone'} end

local stored = type_of(checkpoint) == 'hash' and redis.call('HGETALL', checkpoint) or {}
local known = table_of(stored)

local function number(name)
  return tonumber(known[name] or 0) or 0
end

local now = now_ms()
if number('held_until') > now then return {'locked'} end
local written_in = tonumber((known.schema or ''):match('^%d+$') or 0)
if written_in > tonumber(schema) then return {'newer', known.schema} end
local generation = math.max(now, number('generation') + 1)
local attempts = number('attempts') + (blameless == '1' and 0 or 1)

-- A checkpoint is whole if its last commit was complete and everything that it refers to exists.
local function length_of(key)
  local kind = type_of(key)
  if kind == 'hash' then return redis.call('HLEN', key) end
  return kind == 'none' and 0 or -1
end

local version = known.version
local named = type_of(index) == 'hash' and redis.call('HGETALL', index) or {}
local whole = version and version:match('^%d+-%d+$') and true or false
whole = whole and written_in >= tonumber(oldest)
whole = whole and length_of(index) == number('indexed') and length_of(coverage) == number('covered')
for i = 1, #named, 2 do
  if named[i + 1]:sub(1, 1) ~= '-' and type_of(base .. named[i]) ~= 'hash' then whole = false end
end

local entries, before = number('entries'), number('entries_before')
if not whole then
  -- The generation stays even if a later command fails: after the clock was set back, the next one would be lower.
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
  -- The stream was replaced: its IDs would never be delivered. The state stays, and reading starts from the beginning.
  local last = info['last-generated-id']
  if id_less(last, version) then version, before, meets_again = '0-0', entries, last end
  if not whole then meets_again = last end
  -- A trim leaves only the number of entries ever added; a deletion leaves its greatest ID.
  first = info['first-entry'] and info['first-entry'][1]
  lost = math.max(0, added - (entries - before) - info['length'])
  if id_less(version, info['max-deleted-entry-id']) then
    lost_until = info['max-deleted-entry-id']
  elseif lost > 0 and (not first or id_less(version, first)) then
    lost_until = first or last
  end
end

-- Lines have the IDs of their entries: with a line after the version, no line could be added.
local function delete_after(key, id)
  local kind = type_of(key)
  if kind ~= 'stream' then
    redis.call('DEL', key)
  elseif id_less(id, stream_info(key)['last-generated-id']) then
    local kept = redis.call('XRANGE', key, '-', id)
    redis.call('DEL', key)
    for _, line in ipairs(kept) do redis.call('XADD', key, line[1], unpack(line[2])) end
  end
end

delete_after(log, version)
delete_after(batches, version)
if type_of(recent) ~= 'zset' then redis.call('DEL', recent) end

-- A new history reads parked entries that are still in the stream again.
if type_of(dead) ~= 'stream' then
  redis.call('DEL', dead)
elseif first and not whole then
  delete_dead_letters(dead, function(source_id) return not id_less(source_id, first) end)
end

-- Up to this ID the stream may hold, unread, the replacement of an entry that is parked again: see requeue.lua.
if meets_again then redis.call('HSET', checkpoint, 'meets_again_until', meets_again) end

generation = string.format('%.0f', generation)
redis.call('HSET', checkpoint, 'version', version, 'generation', generation, 'owner', owner,
  'attempts', attempts, 'entries', entries, 'entries_before', before,
  -- Sections of an older schema stay unchanged until the first commit.
  'schema', whole and known.schema or schema)

-- From here on `>` delivers, in order, exactly what is not committed, whatever had happened to the group.
if source == 'stream' then
  redis.pcall('XGROUP', 'DESTROY', events, group)
  redis.call('XGROUP', 'CREATE', events, group, version, 'ENTRIESREAD', math.min(entries - before, added))
end
return {'acquired', generation, version, attempts, whole and '0' or '1', lost_until, lost,
  source == 'stream' and '1' or '0'}

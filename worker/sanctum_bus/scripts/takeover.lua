#!lua flags=allow-oom
-- Takes a run over, or starts it over: the one recovery path.
--
-- KEYS: events, checkpoint, sections, coverage, log, batches, dead, none
-- ARGV: what keys of sections begin with, group, owner, "1" if the last attempt failed for a reason outside the
--       entries, schema version
-- Returns: "taken", generation, version, attempts, "1" for a new history, id up to which the stream was trimmed
--          unread or "", how many entries that took, "1" if there is a stream;  or "gone" where there is neither stream nor checkpoint;  or "wrongtype" and a key.
local events, checkpoint, index, coverage, log, batches, dead = unpack(KEYS)
local base, group, owner, innocent, schema = unpack(ARGV)

local source = type_of(events)
if source ~= 'stream' and source ~= 'none' then return {'wrongtype', events, source} end
if source == 'none' and type_of(checkpoint) == 'none' then return {'gone'} end

local now = redis.call('TIME')
local generation = now[1] * 1000 + math.floor(now[2] / 1000)
local version, attempts, entries, indexed = nil, 0, 0, 0
if type_of(checkpoint) == 'hash' then
  local known = redis.call('HMGET', checkpoint, 'version', 'generation', 'attempts', 'entries', 'indexed')
  version, attempts, entries = known[1], tonumber(known[3] or 0) or 0, tonumber(known[4] or 0) or 0
  indexed = tonumber(known[5] or 0) or 0
  generation = math.max(generation, (tonumber(known[2] or 0) or 0) + 1)
end

-- A checkpoint is whole when its last commit was, and every section that the index names is there.
local whole = version and version:match('^%d+-%d+$') and true or false
local named = {}
if type_of(index) == 'hash' then
  named = redis.call('HGETALL', index)
  for i = 1, #named, 2 do
    if named[i + 1]:sub(1, 1) ~= '-' and type_of(base .. named[i]) ~= 'hash' then whole = false end
  end
elseif type_of(index) ~= 'none' then
  whole = false
end
if #named ~= indexed * 2 then whole = false end
local covered = type_of(coverage)
if covered ~= 'hash' and covered ~= 'none' then whole = false end

if not whole then
  for i = 1, #named, 2 do redis.call('DEL', base .. named[i]) end
  redis.call('DEL', checkpoint, index, coverage, log, batches)
  version, entries = '0-0', 0
end

local trimmed, trimmed_entries, added = '', 0, 0
if source == 'stream' then
  local info = stream_info(events)
  added = info['entries-added']
  -- The stream was replaced: its ids would never be delivered. The state stays, the reading begins anew.
  if id_less(info['last-generated-id'], version) then version, entries = '0-0', 0 end
  if id_less(version, info['max-deleted-entry-id']) then
    trimmed = info['max-deleted-entry-id']
    trimmed_entries = math.max(0, added - entries - info['length'])
  end
end

-- Lines bear the ids of their entries: a log that is ahead of the version could take none.
for _, key in ipairs({log, batches}) do
  local kind = type_of(key)
  if kind == 'stream' then
    if id_less(version, stream_info(key)['last-generated-id']) then redis.call('DEL', key) end
  elseif kind ~= 'none' then
    redis.call('DEL', key)
  end
end
if type_of(dead) ~= 'stream' then redis.call('DEL', dead) end

if innocent ~= '1' then attempts = attempts + 1 end
generation = string.format('%.0f', generation)
redis.call('HSET', checkpoint, 'version', version, 'generation', generation, 'owner', owner,
  'attempts', attempts, 'entries', entries, 'schema', schema)

-- From here `>` gives, in order, exactly what was not committed, whatever had become of the group.
if source == 'stream' then
  redis.pcall('XGROUP', 'DESTROY', events, group)
  redis.call('XGROUP', 'CREATE', events, group, version, 'ENTRIESREAD', math.min(entries, added))
end
return {'taken', generation, version, attempts, whole and '0' or '1', trimmed, trimmed_entries,
  source == 'stream' and '1' or '0'}

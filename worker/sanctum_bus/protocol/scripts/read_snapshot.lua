#!lua flags=no-writes
-- Reads one consistent view of a run: all of it, what changed after a version, or only its checkpoint.
--
-- KEYS: events, checkpoint, sections, coverage, recent, none
-- ARGV: what keys of sections begin with; "" or the version that the caller has; the generation that the caller has;
--       "1" to read the coverage; "sections", "names" (the names of all sections, too) or "head" (neither)
-- Returns: checkpoint (flat); names of all sections or nothing; coverage (flat); last ID of the stream or ""; server
--          time (s, us); "1" if the sections are all there are, "0" if they are those that changed; then section name and
--          content (flat) in turn. A section that was removed since has no content.
local events, checkpoint, index, coverage, recent = unpack(KEYS)
local base, since, generation, want_coverage, want = unpack(ARGV)

local stored = redis.call('HGETALL', checkpoint)
local known = table_of(stored)
local version = known.version or ''
if since ~= '' and (known.generation ~= generation or not version:match('^%d+-%d+$') or id_less(version, since)) then
  since = ''
end

local last = ''
if type_of(events) ~= 'none' then last = stream_info(events)['last-generated-id'] end
local now = redis.call('TIME')
local reply = {stored, false, {}, last, now[1], now[2], since == '' and '1' or '0'}
if want_coverage == '1' then reply[3] = redis.call('HGETALL', coverage) end
if want == 'head' then return reply end

local function add_if_changed(name, row)
  local is_removed = row:sub(1, 1) == '-'
  if id_less(since, is_removed and row:sub(2) or row) then
    reply[#reply + 1] = name
    reply[#reply + 1] = is_removed and {} or redis.call('HGETALL', base .. name)
  end
end

-- There are many sections: `recent` finds those that changed without reading all names, unless it lacks some.
if since ~= '' and want == 'sections' and redis.pcall('ZCARD', recent) == redis.call('HLEN', index) then
  local found = redis.call('ZRANGEBYSCORE', recent, score_of(since), '+inf')
  for i = 1, #found, SLICE do
    local rows = redis.call('HMGET', index, unpack(found, i, math.min(i + SLICE - 1, #found)))
    for j = 1, #rows do
      if rows[j] then add_if_changed(found[i + j - 1], rows[j]) end
    end
  end
  return reply
end

local rows, names = redis.call('HGETALL', index), {}
reply[2] = names
for i = 1, #rows, 2 do
  local name, row = rows[i], rows[i + 1]
  if row:sub(1, 1) ~= '-' then names[#names + 1] = name end
  if since ~= '' then
    add_if_changed(name, row)
  elseif row:sub(1, 1) ~= '-' then
    reply[#reply + 1] = name
    reply[#reply + 1] = redis.call('HGETALL', base .. name)
  end
end
return reply

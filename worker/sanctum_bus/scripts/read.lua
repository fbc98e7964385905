#!lua flags=no-writes
-- One consistent view of a run: all of it, or what changed after a version.
--
-- KEYS: events, checkpoint, sections, coverage, none
-- ARGV: what keys of sections begin with, "" or the version that the caller has, the generation that the caller has,
--       "1" if the coverage is wanted
-- Returns: checkpoint (flat), names of all sections, coverage (flat), last id of the stream or "", server time (s, us),
--          "1" if the sections are all there are rather than those that changed, then section name and content (flat)
--          in turn.
local events, checkpoint, index, coverage = unpack(KEYS)
local base, since, generation, want_coverage = unpack(ARGV)

local known = redis.call('HGETALL', checkpoint)
local fields = {}
for i = 1, #known, 2 do fields[known[i]] = known[i + 1] end
local version = fields['version'] or ''
if since ~= '' and (fields['generation'] ~= generation or not version:match('^%d+-%d+$') or id_less(version, since)) then
  since = ''
end

local last = ''
if type_of(events) == 'stream' then last = stream_info(events)['last-generated-id'] end
local now = redis.call('TIME')
local rows, names = redis.call('HGETALL', index), {}
local reply = {known, names, {}, last, now[1], now[2], since == '' and '1' or '0'}
if want_coverage == '1' then reply[3] = redis.call('HGETALL', coverage) end
for i = 1, #rows, 2 do
  local name, changed = rows[i], rows[i + 1]
  if changed:sub(1, 1) ~= '-' then
    names[#names + 1] = name
    if since == '' or id_less(since, changed) then
      reply[#reply + 1] = name
      reply[#reply + 1] = redis.call('HGETALL', base .. name)
    end
  end
end
return reply

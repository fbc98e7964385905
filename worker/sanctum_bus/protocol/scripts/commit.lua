#!lua flags=allow-oom
-- Commits a batch: sections, log lines, parked entries, counters, version and acknowledgement in one atomic step.
-- Scripts do not roll back, so: check, mark, write, unmark. A run whose version is `torn` starts a new history.
--
-- KEYS: events, checkpoint, sections, coverage, log, batches, dead, recent, none, then one for each section that is written
-- ARGV: group, generation, version that the fold started from, new version, how many entries the caller holds
--       unacknowledged, the least and the greatest of their ids; then, each with its number in front:
--       ids to acknowledge; sections (name, id of the change, then `-`: gone; or `=`, length, fields: as a whole; or
--       `+`, length, fields, length, names: some fields are written, some go, the rest stays); checkpoint (flat);
--       coverage (flat); log lines (id, length, fields), cap; batch lines likewise, cap;
--       source ids of parked entries that were put back; parked entries (length, fields), cap in entries, cap in
--       bytes; then id to trim before or "", channel, hint as `tell_followers` takes it.
-- Returns: "ok", or "refused", which guard, and what was seen. A refused commit has written nothing.
local SLICE = 4000
local events, checkpoint, index, coverage, log, batches, dead, recent = unpack(KEYS, 1, 8)
local group, generation, old_version, new_version, held, held_min, held_max = unpack(ARGV, 1, 7)
local at = 8

local function take()
  at = at + 1
  return ARGV[at - 1]
end

-- A span of arguments: where it begins, where it ends.
local function take_span()
  local length = tonumber(take())
  at = at + length
  return {at - length, at - 1}
end

local function call_sliced(command, key, span)
  for i = span[1], span[2], SLICE do
    redis.call(command, key, unpack(ARGV, i, math.min(i + SLICE - 1, span[2])))
  end
end

local function refused(guard, seen)
  return {'refused', guard, tostring(seen)}
end

-- Read the arguments.
local acks = take_span()
local count = acks[2] - acks[1] + 1
local first = count > 0 and ARGV[acks[1]] or nil
local sections, names = {}, {}
for i = 1, tonumber(take()) do
  local section = {key = KEYS[9 + i], name = take(), id = take(), what = take()}
  if section.what ~= '-' then section.fields = take_span() end
  if section.what == '+' then section.dropped = take_span() end
  sections[i], names[i] = section, section.name
end
local counters, covered = take_span(), take_span()

local function take_lines()
  local lines = {}
  for i = 1, tonumber(take()) do lines[i] = {id = take(), fields = take_span()} end
  return lines, take()
end

local log_lines, log_cap = take_lines()
local batch_lines, batch_cap = take_lines()
local put_back, parked = take_span(), {}
for i = 1, tonumber(take()) do parked[i] = take_span() end
local dead_cap, dead_bytes, trim_before, channel, hint = take(), tonumber(take()), take(), take(), take()

-- Check: the fence, and the version that the fold started from.
if type_of(checkpoint) ~= 'hash' then return refused('checkpoint', type_of(checkpoint)) end
local known = redis.call('HMGET', checkpoint, 'generation', 'version', 'covered', 'indexed')
if known[1] ~= generation then return refused('generation', known[1]) end
if known[2] ~= old_version then return refused('version', known[2]) end

-- Check: nothing was delivered that the caller has not folded, nothing was skipped.
local pending = redis.pcall('XPENDING', events, group)
if pending.err then return refused('group', pending.err) end
if pending[1] ~= tonumber(held) or (pending[1] > 0 and (pending[2] ~= held_min or pending[3] ~= held_max)) then
  if count == 0 then return refused('pending', pending[1]) end
  local range = redis.call('XPENDING', events, group, '-', new_version, count + 1)
  if #range ~= count then return refused('pending', #range) end
  for i = 1, count do
    if range[i][1] ~= ARGV[acks[1] + i - 1] then return refused('pending', range[i][1]) end
  end
end
local following = redis.call('XRANGE', events, '(' .. old_version, '+', 'COUNT', 1)[1]
if count > 0 then
  -- What was read and is deleted by now is folded all the same; what was there to be read before it was skipped.
  if not id_less(old_version, first) or (following and id_less(following[1], first)) then
    return refused('first', following and following[1])
  end
elseif following then
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', events)) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    if info.name == group and not id_less(info['last-delivered-id'], following[1]) then
      return refused('robbed', info['last-delivered-id'])
    end
  end
end

-- Check: every key can take what is written to it.
for _, row in ipairs({{index, 'hash'}, {coverage, 'hash'}, {log, 'stream'}, {batches, 'stream'},
  {dead, 'stream'}, {recent, 'zset'}}) do
  local kind = type_of(row[1])
  if kind ~= 'none' and kind ~= row[2] then return refused('wrongtype', row[1]) end
end
if redis.call('HLEN', coverage) ~= (tonumber(known[3] or 0) or 0) then return refused('coverage', known[3]) end
if redis.call('HLEN', index) ~= (tonumber(known[4] or 0) or 0) then return refused('index', known[4]) end
-- Where somebody removed it, or a part of it: what it is made of is all in the index.
local recent_is_whole = redis.call('ZCARD', recent) == redis.call('HLEN', index)
for i = 1, #names, SLICE do
  local listed = redis.call('HMGET', index, unpack(names, i, math.min(i + SLICE - 1, #names)))
  for j = 1, math.min(SLICE, #names - i + 1) do
    local section = sections[i + j - 1]
    local alive = listed[j] and listed[j]:sub(1, 1) ~= '-'
    if (alive or section.what == '+') and not (alive and type_of(section.key) == 'hash') then
      return refused('section', section.name)
    end
  end
end
for _, row in ipairs({{log, log_lines}, {batches, batch_lines}}) do
  if #row[2] > 0 and type_of(row[1]) == 'stream' then
    local top = stream_info(row[1])['last-generated-id']
    if not id_less(top, row[2][1].id) then return refused('log', top) end
  end
end

-- Mark. Whatever fails from here on leaves a run that says so.
redis.call('HSET', checkpoint, 'version', 'torn')

-- Write. The index first: by it a new history finds what a commit that died has left.
local changed = {}
for i, section in ipairs(sections) do
  changed[2 * i - 1], changed[2 * i] = section.name, (section.what == '-' and '-' or '') .. section.id
end
for i = 1, #changed, SLICE do
  redis.call('HSET', index, unpack(changed, i, math.min(i + SLICE - 1, #changed)))
end
if recent_is_whole then
  note_recent(recent, changed)
else
  redis.call('DEL', recent)
  note_recent(recent, redis.call('HGETALL', index))
end
for _, section in ipairs(sections) do
  if section.what ~= '+' then redis.call('DEL', section.key) end
  if section.fields then call_sliced('HSET', section.key, section.fields) end
  if section.dropped then call_sliced('HDEL', section.key, section.dropped) end
end
call_sliced('HSET', coverage, covered)

local function append(key, lines, cap)
  for _, line in ipairs(lines) do
    redis.call('XADD', key, line.id, unpack(ARGV, line.fields[1], line.fields[2]))
  end
  if #lines > 0 then redis.call('XTRIM', key, 'MAXLEN', cap) end
end

append(log, log_lines, log_cap)
append(batches, batch_lines, batch_cap)
if put_back[1] <= put_back[2] and type_of(dead) == 'stream' then
  local named = {}
  for i = put_back[1], put_back[2] do named[ARGV[i]] = true end
  drop_letters(dead, function(source) return named[source] end)
end
for _, span in ipairs(parked) do redis.call('XADD', dead, '*', unpack(ARGV, span[1], span[2])) end
if #parked > 0 then
  redis.call('XTRIM', dead, 'MAXLEN', dead_cap)
  local length = redis.call('XLEN', dead)
  while length > 1 and redis.call('MEMORY', 'USAGE', dead, 'SAMPLES', 0) > dead_bytes do
    length = math.floor(length / 2)
    redis.call('XTRIM', dead, 'MAXLEN', length)
  end
end
for i = acks[1], acks[2], SLICE do
  redis.call('XACK', events, group, unpack(ARGV, i, math.min(i + SLICE - 1, acks[2])))
end
call_sliced('HSET', checkpoint, counters)
redis.call('HSET', checkpoint, 'indexed', redis.call('HLEN', index), 'covered', redis.call('HLEN', coverage))

-- Unmark.
redis.call('HSET', checkpoint, 'attempts', 0, 'version', new_version)

-- What may fail without harm.
tell_followers(channel, hint)
if trim_before ~= '' then redis.pcall('XTRIM', events, 'MINID', '~', trim_before) end
return {'ok'}

#!lua flags=allow-oom
-- Commits folded entries: sections, log lines, dead letters, counters, version and acknowledgment in one atomic step.
-- Scripts do not roll back, so: check, mark, write, unmark. A run whose version is `torn` starts a new history.
--
-- KEYS: events, checkpoint, sections, coverage, log, batches, dead, recent, none, then one for each section to write
-- ARGV: group; generation; version that the fold started from; new version; number of entries that the caller has read
--       and not acknowledged, the smallest and the greatest of their IDs; maximum bytes of the dead letters; ID to trim
--       the stream before, or ""; channel and message for `notify_followers`; then what `read_changes` reads; then the
--       IDs of the folded entries, which are acknowledged
-- Returns: "ok"; or "refused", the guard that failed, and what it found. A refused commit has written nothing.
local events, checkpoint, index, coverage, log, batches, dead, recent = unpack(KEYS, 1, 8)
local group, generation, old_version, new_version, held, held_min, held_max = unpack(ARGV, 1, 7)
local dead_bytes, trim_before, channel, message = tonumber(ARGV[8]), ARGV[9], ARGV[10], ARGV[11]
local changes, first_ack = read_changes(12)
local acks = {first_ack, #ARGV}
local count, first = #ARGV - first_ack + 1, ARGV[first_ack]
local sections, known = changes.sections, {}

local function refused(guard, seen)
  return {'refused', guard, tostring(seen)}
end

-- The fence, and the version that the fold started from.
local function check_fence()
  if type_of(checkpoint) ~= 'hash' then return refused('checkpoint', type_of(checkpoint)) end
  known = redis.call('HMGET', checkpoint, 'generation', 'version', 'covered', 'indexed')
  if known[1] ~= generation then return refused('generation', known[1]) end
  if known[2] ~= old_version then return refused('version', known[2]) end
end

-- The group has delivered exactly the entries that the caller has read.
local function check_pending()
  local pending = redis.pcall('XPENDING', events, group)
  if pending.err then return refused('group', pending.err) end
  if pending[1] == tonumber(held) and (pending[1] == 0 or (pending[2] == held_min and pending[3] == held_max)) then
    return
  end
  if count == 0 then return refused('pending', pending[1]) end
  local range = redis.call('XPENDING', events, group, '-', new_version, count + 1)
  if #range ~= count then return refused('pending', #range) end
  for i = 1, count do
    if range[i][1] ~= ARGV[acks[1] + i - 1] then return refused('pending', range[i][1]) end
  end
end

-- No entry between the old version and the folded entries was skipped.
local function check_order()
  local following = redis.call('XRANGE', events, '(' .. old_version, '+', 'COUNT', 1)[1]
  if count > 0 then
    -- An entry that was read and then deleted is folded. An entry that was there before it must have been read.
    if not id_less(old_version, first) or (following and id_less(following[1], first)) then
      return refused('first', following and following[1])
    end
  elseif following then
    local info = group_info(events, group)
    if info and not id_less(info['last-delivered-id'], following[1]) then
      return refused('robbed', info['last-delivered-id'])
    end
  end
end

-- Every key accepts what is written to it.
local function check_types()
  for _, row in ipairs({{index, 'hash'}, {coverage, 'hash'}, {log, 'stream'}, {batches, 'stream'},
    {dead, 'stream'}, {recent, 'zset'}}) do
    local kind = type_of(row[1])
    if kind ~= 'none' and kind ~= row[2] then return refused('wrongtype', row[1]) end
  end
end

-- Coverage, index and sections are as the last commit left them.
local function check_sections()
  if redis.call('HLEN', coverage) ~= (tonumber(known[3] or 0) or 0) then return refused('coverage', known[3]) end
  if redis.call('HLEN', index) ~= (tonumber(known[4] or 0) or 0) then return refused('index', known[4]) end
  local names = {}
  for i, section in ipairs(sections) do names[i] = section.name end
  for i = 1, #names, SLICE do
    local listed = redis.call('HMGET', index, unpack(names, i, math.min(i + SLICE - 1, #names)))
    for j = 1, math.min(SLICE, #names - i + 1) do
      local section = sections[i + j - 1]
      local exists = listed[j] and listed[j]:sub(1, 1) ~= '-'
      if (exists or section.what == '+') and not (exists and type_of(section.key) == 'hash') then
        return refused('section', section.name)
      end
    end
  end
end

-- A stream only takes IDs above its greatest.
local function check_lines()
  for _, row in ipairs({{log, changes.log}, {batches, changes.batches}}) do
    if #row[2] > 0 and type_of(row[1]) == 'stream' then
      local top = stream_info(row[1])['last-generated-id']
      if not id_less(top, row[2][1].id) then return refused('log', top) end
    end
  end
end

for _, check in ipairs({check_fence, check_pending, check_order, check_types, check_sections, check_lines}) do
  local refusal = check()
  if refusal then return refusal end
end

-- If a client removed a part of `recent`, all of it is written again from the index.
local recent_is_whole = redis.call('ZCARD', recent) == redis.call('HLEN', index)

-- Mark. If a command fails from here on, the version shows that the run is torn.
redis.call('HSET', checkpoint, 'version', 'torn')

-- Write. The index comes first: a new history finds in it what a failed commit has left.
local rows = write_index(index, sections)
if not recent_is_whole then
  redis.call('DEL', recent)
  rows = redis.call('HGETALL', index)
end
note_recent(recent, rows)
write_sections(sections)
call_sliced('HSET', coverage, changes.coverage)
append_lines(log, changes.log)
append_lines(batches, changes.batches)
if changes.requeued[1] <= changes.requeued[2] and type_of(dead) == 'stream' then
  local requeued = {}
  for i = changes.requeued[1], changes.requeued[2] do requeued[ARGV[i]] = true end
  delete_dead_letters(dead, function(source) return requeued[source] end)
end
if #changes.dead_letters > 0 then
  add_dead_letters(dead, changes.dead_letters)
  redis.call('XTRIM', dead, 'MAXLEN', changes.dead_letters.max)
  local length = redis.call('XLEN', dead)
  while length > 1 and redis.call('MEMORY', 'USAGE', dead, 'SAMPLES', 0) > dead_bytes do
    length = math.floor(length / 2)
    redis.call('XTRIM', dead, 'MAXLEN', length)
  end
end
for i = acks[1], acks[2], SLICE do
  redis.call('XACK', events, group, unpack(ARGV, i, math.min(i + SLICE - 1, acks[2])))
end
call_sliced('HSET', checkpoint, changes.checkpoint)
redis.call('HSET', checkpoint, 'indexed', redis.call('HLEN', index), 'covered', redis.call('HLEN', coverage))

-- Unmark.
redis.call('HSET', checkpoint, 'attempts', 0, 'version', new_version)

-- The commit is complete. Failures of these commands do no harm.
notify_followers(channel, message)
if trim_before ~= '' then redis.pcall('XTRIM', events, 'MINID', '~', trim_before) end
return {'ok'}

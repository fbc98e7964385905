-- Values of ARGV, and pairs of a reply, that one command takes at most: Lua's stack is limited.
local SLICE = 4000

-- IDs are compared as text: 64 bits do not fit a Lua number. Of two numbers the one with more digits is greater.
local function id_less(a, b)
  local dash, other = a:find('-', 1, true), b:find('-', 1, true)
  if dash ~= other then return dash < other end
  if #a == #b then return a < b end
  local ms, other_ms = a:sub(1, dash), b:sub(1, dash)
  if ms == other_ms then return #a < #b end
  return ms < other_ms
end

local function type_of(key)
  return redis.call('TYPE', key).ok
end

-- Unix time in milliseconds, by the server's clock.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Turns names and values in turn into a table.
local function table_of(flat)
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function stream_info(key)
  return table_of(redis.call('XINFO', 'STREAM', key))
end

-- Returns what XINFO GROUPS reports of a group, or nil if there is no such group.
local function group_info(events, group)
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', events)) do
    local info = table_of(flat)
    if info.name == group then return info end
  end
end

-- Runs a command on a key with the values of ARGV from span[1] to span[2], in slices.
local function call_sliced(command, key, span)
  for i = span[1], span[2], SLICE do
    redis.call(command, key, unpack(ARGV, i, math.min(i + SLICE - 1, span[2])))
  end
end

-- Returns a number that is never less for a later ID. Different IDs may share a number: 128 bits do not fit.
local function score_of(id)
  local ms, seq = id:match('(%d+)-(%d+)')
  return string.format('%.0f', tonumber(ms) * 2048 + math.min(tonumber(seq), 2047))
end

-- Records when sections changed. `rows` are names and rows of the index in turn.
local function note_recent(recent, rows)
  local scores = {}
  for i = 1, #rows, 2 do scores[i], scores[i + 1] = score_of(rows[i + 1]), rows[i] end
  for i = 1, #scores, SLICE do
    redis.call('ZADD', recent, unpack(scores, i, math.min(i + SLICE - 1, #scores)))
  end
end

-- Reads from ARGV, from a position on, what a commit or a rebuild writes; `build` in commit_arguments.py wrote it.
-- Returns it, and the position behind it. Values stay in ARGV: a span is their first and their last position.
--
-- sections: each with key, name, id of its last change, and what: `-` it was removed; `=` the fields are all of it;
-- `+` the fields are set, the names in `removed` are deleted, and the other fields stay.
local function read_changes(at)
  local function take()
    at = at + 1
    return ARGV[at - 1]
  end
  local function take_span()
    local length = tonumber(take())
    at = at + length
    return {at - length, at - 1}
  end
  local function take_lines()
    local lines = {}
    for i = 1, tonumber(take()) do lines[i] = {id = take(), fields = take_span()} end
    lines.max = take()
    return lines
  end
  local sections, dead_letters = {}, {}
  for i = 1, tonumber(take()) do
    -- The keys of sections follow the nine fixed keys.
    local section = {key = KEYS[9 + i], name = take(), id = take(), what = take()}
    if section.what ~= '-' then section.fields = take_span() end
    if section.what == '+' then section.removed = take_span() end
    sections[i] = section
  end
  local changes = {sections = sections, dead_letters = dead_letters, checkpoint = take_span(), coverage = take_span(),
    log = take_lines(), batches = take_lines(), requeued = take_span()}
  for i = 1, tonumber(take()) do dead_letters[i] = take_span() end
  dead_letters.max = take()
  return changes, at
end

-- Writes when sections changed into the index. Returns what it wrote.
local function write_index(index, sections)
  local rows = {}
  for i, section in ipairs(sections) do
    rows[2 * i - 1], rows[2 * i] = section.name, (section.what == '-' and '-' or '') .. section.id
  end
  for i = 1, #rows, SLICE do
    redis.call('HSET', index, unpack(rows, i, math.min(i + SLICE - 1, #rows)))
  end
  return rows
end

local function write_sections(sections)
  for _, section in ipairs(sections) do
    if section.what ~= '+' then redis.call('DEL', section.key) end
    if section.fields then call_sliced('HSET', section.key, section.fields) end
    if section.removed then call_sliced('HDEL', section.key, section.removed) end
  end
end

local function append_lines(key, lines)
  for _, line in ipairs(lines) do
    redis.call('XADD', key, line.id, unpack(ARGV, line.fields[1], line.fields[2]))
  end
  if #lines > 0 then redis.call('XTRIM', key, 'MAXLEN', lines.max) end
end

local function add_dead_letters(dead, dead_letters)
  for _, span in ipairs(dead_letters) do redis.call('XADD', dead, '*', unpack(ARGV, span[1], span[2])) end
end

-- Deletes the dead letters whose source ID fulfills a condition.
local function delete_dead_letters(dead, is_meant)
  local from = '-'
  while from do
    local page = redis.call('XRANGE', dead, from, '+', 'COUNT', 100)
    for _, row in ipairs(page) do
      for i = 1, #row[2], 2 do
        local source = row[2][i] == 'source_id' and row[2][i + 1]
        if source and source:match('^%d+-%d+$') and is_meant(source) then redis.call('XDEL', dead, row[1]) end
      end
    end
    from = #page == 100 and '(' .. page[100][1]
  end
end

-- Publishes a change notification. The message lacks its end: the number of subscribers, so that they can take turns.
local function notify_followers(channel, message)
  if message == '' then return end
  local followers = redis.pcall('PUBSUB', 'SHARDNUMSUB', channel)[2] or 0
  redis.pcall('SPUBLISH', channel, message .. followers .. '}')
end

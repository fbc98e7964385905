-- Ids are compared as text: a sequence of 64 bits does not fit a Lua number. Of two numbers the longer is the greater.
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

local function stream_info(key)
  local flat, info = redis.call('XINFO', 'STREAM', key), {}
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
  return info
end

-- A number that is never less for a later id; different ids may share one, for not all of an id fits.
local function score_of(id)
  local ms, seq = id:match('(%d+)-(%d+)')
  return string.format('%.0f', tonumber(ms) * 2048 + math.min(tonumber(seq), 2047))
end

-- Keeps when sections were changed, as in the index.
local function note_recent(recent, changed)
  local scores = {}
  for i = 1, #changed, 2 do scores[i], scores[i + 1] = score_of(changed[i + 1]), changed[i] end
  for i = 1, #scores, 4000 do
    redis.call('ZADD', recent, unpack(scores, i, math.min(i + 3999, #scores)))
  end
end

-- Publishes a hint, which comes without its end: by how many it is heard is put in, so that they can take turns.
local function tell_followers(channel, hint)
  if hint == '' then return end
  local followers = redis.pcall('PUBSUB', 'SHARDNUMSUB', channel)[2] or 0
  redis.pcall('SPUBLISH', channel, hint .. followers .. '}')
end

-- Drops the dead letters whose source id is meant.
local function drop_letters(dead, is_meant)
  local from = '-'
  while from do
    local some = redis.call('XRANGE', dead, from, '+', 'COUNT', 100)
    for _, letter in ipairs(some) do
      for i = 1, #letter[2], 2 do
        local source = letter[2][i] == 'source_id' and letter[2][i + 1]
        if source and source:match('^%d+-%d+$') and is_meant(source) then redis.call('XDEL', dead, letter[1]) end
      end
    end
    from = #some == 100 and '(' .. some[100][1]
  end
end

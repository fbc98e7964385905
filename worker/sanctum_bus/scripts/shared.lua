-- Ids are compared as text: a sequence of 64 bits does not fit a Lua number.
local function number_less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

local function id_less(a, b)
  -- Nearly always both parts are as long as the other's.
  if #a == #b and a:find('-', 1, true) == b:find('-', 1, true) then return a < b end
  local a_ms, a_seq = a:match('^(%d+)-(%d+)$')
  local b_ms, b_seq = b:match('^(%d+)-(%d+)$')
  if a_ms ~= b_ms then return number_less(a_ms, b_ms) end
  return number_less(a_seq, b_seq)
end

local function type_of(key)
  return redis.call('TYPE', key).ok
end

local function stream_info(key)
  local flat, info = redis.call('XINFO', 'STREAM', key), {}
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
  return info
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

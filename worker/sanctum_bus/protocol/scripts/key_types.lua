#!lua flags=no-writes
-- Reads the types of a run's keys.
--
-- KEYS: sections, none, then the other keys to look at
-- ARGV: what keys of sections begin with
-- Returns: key and type in turn: each of KEYS, then the keys of sections that exist and are not hashes.
local reply = {}

local function add(key, kind)
  reply[#reply + 1] = key
  reply[#reply + 1] = kind
end

for _, key in ipairs(KEYS) do add(key, type_of(key)) end
if type_of(KEYS[1]) == 'hash' then
  -- HGETALL, because a reader has no permission for HKEYS.
  local names = redis.call('HGETALL', KEYS[1])
  for i = 1, #names, 2 do
    local kind = type_of(ARGV[1] .. names[i])
    if kind ~= 'hash' and kind ~= 'none' then add(ARGV[1] .. names[i], kind) end
  end
end
return reply

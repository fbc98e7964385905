#!lua flags=no-writes
-- Which types the keys of a run have.
--
-- KEYS: sections, none, then the other keys that are asked about
-- ARGV: what keys of sections begin with
-- Returns: key and type in turn: each of KEYS, then those of sections that are there and no hashes.
local reply = {}

local function note(key, kind)
  reply[#reply + 1] = key
  reply[#reply + 1] = kind
end

for _, key in ipairs(KEYS) do note(key, type_of(key)) end
if type_of(KEYS[1]) == 'hash' then
  -- With what a reader may: the names alone are not among that.
  local names = redis.call('HGETALL', KEYS[1])
  for i = 1, #names, 2 do
    local kind = type_of(ARGV[1] .. names[i])
    if kind ~= 'hash' and kind ~= 'none' then note(ARGV[1] .. names[i], kind) end
  end
end
return reply

#!lua flags=no-writes
-- How far a run's owner is behind, and what the run's producers say of themselves.
--
-- KEYS: events, producers, none
-- ARGV: group, the owner's version
-- Returns: how many entries are not committed yet, -1 where nobody knows; ms since the first of them came; then the
--          content of producers (flat).
local events, producers = unpack(KEYS)
local group, version = unpack(ARGV)
local behind, ms = 0, 0

local function group_info()
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', events)) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    if info.name == group then return info end
  end
  return {}
end

local following = type_of(events) == 'stream' and redis.call('XRANGE', events, '(' .. version, '+', 'COUNT', 1)[1]
if following then
  local time = redis.call('TIME')
  ms = math.max(0, time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(following[1]:match('^%d+')))
  -- The server knows no lag where entries were deleted; a group that somebody moved has none, and is behind.
  local info = group_info()
  behind = info.lag and info.lag + info.pending or -1
  if behind == 0 then behind = -1 end
end
local reply = {behind, ms}
if type_of(producers) == 'hash' then
  for _, item in ipairs(redis.call('HGETALL', producers)) do reply[#reply + 1] = item end
end
return reply

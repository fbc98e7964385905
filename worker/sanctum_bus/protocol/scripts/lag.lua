#!lua flags=no-writes
-- Reads how far the owner of a run is behind, and what the producers of the run report.
--
-- KEYS: events, producers, none
-- ARGV: group; version that the owner has committed
-- Returns: number of entries that are not committed, -1 if it is unknown; ms since the first of them was added; then the
--          content of producers (flat).
local events, producers = unpack(KEYS)
local group, version = unpack(ARGV)
local behind, ms = 0, 0

local following = type_of(events) == 'stream' and redis.call('XRANGE', events, '(' .. version, '+', 'COUNT', 1)[1]
if following then
  ms = math.max(0, now_ms() - tonumber(following[1]:match('^%d+')))
  -- A server reports no lag after entries were deleted. A group that another client moved reports 0, which is wrong.
  local info = group_info(events, group)
  behind = info and info.lag and info.lag + info.pending or -1
  if behind == 0 then behind = -1 end
end
local reply = {behind, ms}
if type_of(producers) == 'hash' then
  for _, item in ipairs(redis.call('HGETALL', producers)) do reply[#reply + 1] = item end
end
return reply

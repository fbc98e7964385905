#!lua flags=allow-oom
-- Keeps what a worker says of itself, and forgets what was said by those that are not alive any more.
--
-- KEYS: what workers say
-- ARGV: worker id, what it says or "" where it leaves, ids of the workers that are alive
-- Returns: how many were forgotten.
local alive, gone = {}, 0
for i = 3, #ARGV do alive[ARGV[i]] = true end
if ARGV[2] == '' then
  alive[ARGV[1]] = nil
else
  alive[ARGV[1]] = true
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
for _, worker in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not alive[worker] then gone = gone + redis.call('HDEL', KEYS[1], worker) end
end
return gone

#!lua flags=allow-oom
-- Stores the state of a worker, and deletes the states of workers that are not alive.
--
-- KEYS: states of the workers
-- ARGV: worker ID; its state, or "" if the worker leaves; IDs of the workers that are alive
-- Returns: how many states were deleted.
local alive, deleted = {}, 0
for i = 3, #ARGV do alive[ARGV[i]] = true end
if ARGV[2] == '' then
  alive[ARGV[1]] = nil
else
  alive[ARGV[1]] = true
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
for _, worker in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not alive[worker] then deleted = deleted + redis.call('HDEL', KEYS[1], worker) end
end
return deleted

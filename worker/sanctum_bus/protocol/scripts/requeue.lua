#!lua
-- Puts dead letters back into the stream, each under the name of the entry for which it stands. A letter never changes,
-- so the caller has read and unpacked it; one that is gone by now was put back or dropped before, and is passed over.
--
-- KEYS: events, checkpoint, dead, none
-- ARGV: for each letter its id, then the fields to add with their number in front
-- Returns: "ok", then for each letter the id of the entry that stands for it now, or "" where the letter is gone;
--          or "refused", why, and what was seen. What is refused has changed nothing.
local events, checkpoint, dead = unpack(KEYS)

local version = type_of(checkpoint) == 'hash' and redis.call('HGET', checkpoint, 'version') or ''
if not version:match('^%d+-%d+$') then return {'refused', 'snapshot', version} end
-- A history that begins anew meets again what was parked, and later the entry that stands for it. In between a letter is
-- here that was put back before: to put it back once more would be to fold it twice.
local until_id = redis.call('HGET', checkpoint, 'meets_again_until')
if until_id and id_less(version, until_id) then return {'refused', 'behind', until_id} end

local reply, at = {'ok'}, 1
-- What is not permitted has to fail here, before the first letter is in both places.
if type_of(dead) == 'stream' then redis.call('XDEL', dead, '0-1') end
while at <= #ARGV do
  local letter, length = ARGV[at], tonumber(ARGV[at + 1])
  local added = ''
  if type_of(dead) == 'stream' and #redis.call('XRANGE', dead, letter, letter) > 0 then
    -- Where the stream is none this fails, at the first letter and before anything was changed.
    added = redis.call('XADD', events, '*', unpack(ARGV, at + 2, at + 1 + length))
    redis.call('XDEL', dead, letter)
  end
  reply[#reply + 1] = added
  at = at + 2 + length
end
return reply

#!lua
-- Moves dead letters back into the stream, each as an entry that names the parked one. A dead letter never changes, so
-- the caller has read and unpacked it. A dead letter that no longer exists was requeued or deleted before; it is skipped.
--
-- KEYS: events, checkpoint, dead, none
-- ARGV: for each dead letter its ID, the number of field names and values to add, and these
-- Returns: "ok", then for each dead letter the ID of its new entry, or "" if the dead letter does not exist;
--          or "refused", the reason, and what was found. If refused, nothing is changed.
local events, checkpoint, dead = unpack(KEYS)

local version = type_of(checkpoint) == 'hash' and redis.call('HGET', checkpoint, 'version') or ''
if not version:match('^%d+-%d+$') then return {'refused', 'snapshot', version} end
-- A new history reads the parked entry again, and later the entry that was requeued for it. In between, the run has a
-- dead letter although the entry was requeued before. Requeuing it again would fold the entry twice.
local until_id = redis.call('HGET', checkpoint, 'meets_again_until')
if until_id and id_less(version, until_id) then return {'refused', 'behind', until_id} end

local reply, at = {'ok'}, 1
-- A missing permission has to fail here, before the first dead letter is in both places.
if type_of(dead) == 'stream' then redis.call('XDEL', dead, '0-1') end
while at <= #ARGV do
  local id, length = ARGV[at], tonumber(ARGV[at + 1])
  local added = ''
  if type_of(dead) == 'stream' and #redis.call('XRANGE', dead, id, id) > 0 then
    -- If the events key is not a stream, this fails at the first dead letter, before anything is changed.
    added = redis.call('XADD', events, '*', unpack(ARGV, at + 2, at + 1 + length))
    redis.call('XDEL', dead, id)
  end
  reply[#reply + 1] = added
  at = at + 2 + length
end
return reply

#!lua flags=no-writes
-- read: everything that is known of some messages, each in one piece.
-- call   ids
-- gives  {now, 'ok', {id, record, head, attempts, recipients, history, score in its place}…};
--        an id that is missing is left out
-- uses   _clock _keys _head
local found = {}
for _, id in ipairs(call.ids) do
  local flat = redis.call('HGETALL', key('message', id))
  if #flat > 0 then
    local place = redis.call('HGET', key('message', id), 'place')
    found[#found + 1] = {
      id, flat, head(id),
      redis.call('LRANGE', key('attempts', id), 0, -1),
      redis.call('HGETALL', key('recipients', id)),
      redis.call('LRANGE', key('history', id), 0, -1),
      redis.call('ZSCORE', set(place), id),
    }
  end
end
return {now, 'ok', unpack(found)}

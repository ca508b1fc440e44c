#!lua flags=allow-oom
-- expire: end what nobody wants any more, unless an attempt is in flight.
-- call   limit
-- gives  {now, 'ok', next due instant or -1, state…}
-- moves  scheduled | queued | retrying | sending -> expired | partly_sent | failed
-- uses   _clock _keys _record _places _endings
local ended = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', set('expiring'), '-inf', now, 'LIMIT', 0, call.limit)) do
  local record = read_entry('expiring', id)
  if record then
    finish(id, record, 'expired', told('expired'), 'expired')
    ended[#ended + 1] = record.state
  end
end
conclude_call()
return {now, 'ok', next_due(), unpack(ended)}

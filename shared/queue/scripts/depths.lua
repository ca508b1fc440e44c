#!lua flags=no-writes
-- depths: how much lies where, how long the oldest waits, and what the last minute brought.
-- call   nothing
-- gives  {now, 'ok', counts, {flow, ready time of its head, …}, accepted, sent, pools, now}; the two
--        rates are of the six whole slots of ten seconds before this one
-- uses   _clock _keys
local accepted, sent = 0, 0
local slot = math.floor(now / 10000)
for back = 1, 6 do
  local rate = redis.call('HMGET', set('rate:' .. string.format('%d', slot - back)), 'accepted', 'sent')
  accepted = accepted + (rate[1] or 0)
  sent = sent + (rate[2] or 0)
end
return {
  now, 'ok', redis.call('HGETALL', set('counts')), redis.call('ZRANGE', set('work'), 0, -1, 'WITHSCORES'),
  accepted, sent, redis.call('SMEMBERS', set('pools')), now,
}

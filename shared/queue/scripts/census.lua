#!lua flags=no-writes
-- census: the processes that are there.
-- call   seconds (after which one counts as gone)
-- gives  {now, 'ok', {role and name, at, told}…}
-- uses   _clock _keys
-- KEYS[1] is the tag of the service.
local found = {}
for _, process in ipairs(redis.call('ZRANGEBYSCORE', set('processes'), now - call.seconds * 1000, '+inf')) do
  local told = redis.call('HMGET', set(process), 'at', 'told')
  if told[1] then
    found[#found + 1] = {process, told[1], told[2]}
  end
end
return {now, 'ok', unpack(found)}

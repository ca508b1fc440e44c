#!lua flags=allow-oom
-- beat: a process says that it is there, and what it knows.
-- call   role, name, told (JSON), seconds (after which it counts as gone)
-- gives  {now, 'ok'}
-- uses   _clock _keys
-- KEYS[1] is the tag of the service.
local process = 'process:' .. call.role .. ':' .. call.name
redis.call('HSET', set(process), 'told', call.told, 'at', string.format('%d', now))
redis.call('PEXPIRE', set(process), call.seconds * 1000)
redis.call('ZADD', set('processes'), now, process)
redis.call('ZREMRANGEBYSCORE', set('processes'), '-inf', now - call.seconds * 1000)
return {now, 'ok'}

#!lua flags=allow-oom
-- withdraw: a process ends; it need not be waited for until it counts as gone.
-- call   role, name
-- gives  {now, 'ok'}
-- uses   _clock _keys
-- KEYS[1] is the tag of the service.
local process = 'process:' .. call.role .. ':' .. call.name
redis.call('UNLINK', set(process))
redis.call('ZREM', set('processes'), process)
return {now, 'ok'}

#!lua
-- meta: what this queue is; written by the first process that ever opens it.
-- call   schema, shards
-- gives  {now, 'ok', schema, shards}
-- uses   _clock _keys
-- KEYS[1] is the tag of the service.
redis.call('HSETNX', set('meta'), 'schema', call.schema)
redis.call('HSETNX', set('meta'), 'shards', call.shards)
return {now, 'ok', unpack(redis.call('HMGET', set('meta'), 'schema', 'shards'))}

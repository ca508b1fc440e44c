#!lua flags=allow-oom
-- pause: write down that nothing of a pool, of a provider or of everything begins, or that it may again.
-- call   what (`everything`, `pool <name>` or `provider <name>`), told (JSON, absent: resume),
--        until (instant, absent: until it is resumed)
-- gives  {now, 'ok'}
-- moves  nothing
-- uses   _clock _keys
-- KEYS[1] is the tag of the service, and then that of each shard, whose own word `begin` obeys. It always
-- writes, so that replicas can confirm it.
if call.told then
  local ends = call['until'] and string.format('%d', call['until']) or '-'
  redis.call('HSET', set('pauses'), call.what, ends .. ' ' .. call.told)
else
  redis.call('HSET', set('pauses'), call.what, '0 ')
end
return {now, 'ok'}

#!lua flags=allow-oom
-- extend: renew leases that their holder still works on.
-- call   lease_ms, leases: {id, token}
-- gives  {now, 'ok', status…}; `extended` or `stale`
-- moves  nothing
-- uses   _clock _keys
local answers = {}
for _, lease in ipairs(call.leases) do
  local held = redis.call('HGET', key('message', lease.id), 'lease')
  if held and string.match(held, '^%S+') == lease.token then
    redis.call('ZADD', set('leased'), now + call.lease_ms, lease.id)
    answers[#answers + 1] = 'extended'
  else
    answers[#answers + 1] = 'stale'
  end
end
return {now, 'ok', unpack(answers)}

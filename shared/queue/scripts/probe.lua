#!lua flags=allow-oom
-- probe: one attempt in the whole cluster finds out whether a provider is back.
-- call   sender, keep_ms (for which the right lasts, absent: it is given up), apart_ms (until the next)
-- gives  {now, 'ok', whether the sender has the right (absent: it is given up)}
-- moves  nothing
-- uses   _clock _keys
-- KEYS[1] is the provider's tag.
local probe = set('probe')
local owner = redis.call('GET', probe)
if not call.keep_ms then
  if owner == call.sender then
    redis.call('SET', probe, '-', 'PX', string.format('%d', call.apart_ms))
  end
  return {now, 'ok'}
end
local has_right = not owner or owner == call.sender
if has_right then
  redis.call('SET', probe, call.sender, 'PX', string.format('%d', call.keep_ms))
end
return {now, 'ok', has_right}

#!lua flags=allow-oom
-- trim: drop messages whose retention is over.
-- call   finished_ms, failed_ms, limit
-- gives  {now, 'ok', how many}
-- moves  sent | partly_sent | failed | cancelled | expired | suppressed -> nothing
-- uses   _clock _keys _record _places _erase
local trimmed = 0
for place, keep in pairs({finished = call.finished_ms, failed = call.failed_ms}) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', set(place), '-inf', now - keep, 'LIMIT', 0, call.limit)) do
    local record = read_entry(place, id)
    if record then
      erase(id, record)
      trimmed = trimmed + 1
    end
  end
end
conclude_call()
return {now, 'ok', trimmed}

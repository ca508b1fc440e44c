#!lua flags=allow-oom
-- drop_content: forget bodies and attachments of ended messages, and keep their heads.
-- call   keep_ms, limit
-- gives  {now, 'ok', how many}
-- moves  nothing
-- uses   _clock _keys _record _head
local over = redis.call('ZRANGEBYSCORE', set('content'), '-inf', now - call.keep_ms, 'LIMIT', 0, call.limit)
for _, id in ipairs(over) do
  local record = read(id)
  if record then -- else there is nothing to keep a head for
    redis.call('SET', key('body', id), head(id))
    for piece = 1, record.pieces or 0 do
      redis.call('UNLINK', key('piece', id) .. ':' .. piece)
    end
    record.dropped, record.pieces = '1', false
    save(id, record)
  end
end
if #over > 0 then
  redis.call('ZREM', set('content'), unpack(over))
end
save_records()
return {now, 'ok', #over}

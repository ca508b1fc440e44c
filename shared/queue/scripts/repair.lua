#!lua flags=allow-oom
-- repair: put messages where their records say, and forget entries that have no record.
-- call   ids
-- gives  {now, 'ok', {id, what was done}…}
-- moves  nothing
-- uses   _clock _keys _record _places
-- A record without a body cannot be sent: it goes to the dead letters with the reason `body_lost`.
local PRIORITIES = {'critical', 'high', 'normal', 'bulk'}

local function remove_everywhere(id, but)
  local scores
  local names = {'leased', 'failed', 'finished'}
  for _, priority in ipairs(PRIORITIES) do
    names[#names + 1] = 'scheduled:' .. priority
    names[#names + 1] = 'retry:' .. priority
    for _, pool in ipairs(redis.call('SMEMBERS', set('pools'))) do
      local flow = pool .. ':' .. priority
      names[#names + 1] = 'ready:' .. flow
      refilled[flow] = true
    end
  end
  for _, name in ipairs(names) do
    scores = scores or redis.call('ZSCORE', set(name), id)
    if name ~= but then
      redis.call('ZREM', set(name), id)
    end
  end
  return scores
end

local function repair(id)
  local record = read(id)
  if not record then
    remove_everywhere(id, nil)
    redis.call('ZREM', set('expiring'), id)
    redis.call('ZREM', set('content'), id)
    redis.call('UNLINK', key('body', id), key('attempts', id), key('recipients', id), key('history', id))
    return 'forgotten: it had no record'
  end
  local score = remove_everywhere(id, record.place)
  if redis.call('EXISTS', key('body', id)) == 0 then
    leave(id, record)
    end_lease(record)
    record.ready, record.reason, record.finished, record.dropped = false, 'body_lost', now, '1'
    redis.call('ZREM', set('expiring'), id)
    enter(id, record, 'failed', 'failed', now)
    redis.call('SET', key('body', id), struct.pack('>BI4', 1, 57) .. '{"from":"unknown@invalid","subject":"(lost)","size":0}   ')
    save(id, record)
    return 'moved to failed: its body was lost'
  end
  if not redis.call('ZSCORE', set(record.place), id) then
    redis.call('ZADD', set(record.place), score or now, id)
  end
  return 'put back to ' .. record.place
end

local done = {}
for _, id in ipairs(call.ids) do
  done[#done + 1] = {id, repair(id)}
end
conclude_call()
return {now, 'ok', unpack(done)}

#!lua flags=allow-oom
-- repair: put messages where their records say, and forget entries that have no record.
-- call   ids
-- gives  {now, 'ok', {id, what was done}…}
-- moves  scheduled | queued | sending | retrying -> failed | partly_sent
-- uses   _clock _keys _record _places _endings
-- A message without a body cannot be sent: it ends among the dead letters, for `body_lost`.
local PRIORITIES = {'critical', 'high', 'normal', 'bulk'}
local LOST = '{"from":"unknown@invalid","subject":"(lost)","size":0}'

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

local function unlink_pieces(id)
  local piece = 1
  while redis.call('UNLINK', key('piece', id) .. ':' .. piece) == 1 do
    piece = piece + 1
  end
end

local function forget(id)
  remove_everywhere(id, nil)
  redis.call('ZREM', set('expiring'), id)
  redis.call('ZREM', set('content'), id)
  redis.call('UNLINK', key('body', id), key('attempts', id), key('recipients', id), key('history', id))
  unlink_pieces(id)
  return 'forgotten: it had no record'
end

local function replace_body(id, record)
  redis.call('SET', key('body', id), struct.pack('>BI4', 1, #LOST) .. LOST)
  unlink_pieces(id)
  record.dropped, record.pieces = '1', false
  put('content', id, false)
  if LIVE[record.state] then
    finish(id, record, 'failed', told('body_lost'), 'body_lost')
    return 'moved to failed: its body was lost'
  end
  save(id, record)
  return 'given an empty body: its own was lost'
end

local function repair(id)
  local record = read(id)
  if not record then
    return forget(id)
  end
  local score = remove_everywhere(id, record.place)
  if not redis.call('ZSCORE', set(record.place), id) then
    redis.call('ZADD', set(record.place), record.finished or score or now, id)
  end
  if redis.call('EXISTS', key('body', id)) == 0 then
    return replace_body(id, record)
  end
  return 'put back to ' .. record.place
end

local done = {}
for _, id in ipairs(call.ids) do
  done[#done + 1] = {id, repair(id)}
end
conclude_call()
return {now, 'ok', unpack(done)}

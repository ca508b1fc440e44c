#!lua flags=allow-oom
-- requeue: give failed and expired recipients of ended messages fresh rounds and a fresh age.
-- call   operation, tenant, ids
-- gives  {now, 'ok', status, state, …} for each id; status is `done`, `unchanged` (it waits
--        anyway), `final` (nobody to send to again), `dropped` (the content is gone) or `missing`
-- moves  failed | partly_sent | expired -> queued
-- uses   _clock _keys _record _places _endings _owner
local AGAIN = {failed = true, expired = true}

local function reopen(id, record)
  if not record.split then
    return AGAIN[record.state]
  end
  local recipients, reopened = key('recipients', id), false
  local decided = redis.call('HGETALL', recipients)
  for i = 1, #decided, 2 do
    if AGAIN[string.match(decided[i + 1], '^%S+')] then
      redis.call('HDEL', recipients, decided[i])
      reopened = true
    end
  end
  if redis.call('EXISTS', recipients) == 0 then
    record.split = false
  end
  return reopened
end

local function requeue(id)
  local record = owned(id)
  if not record then
    return 'missing', ''
  end
  if LIVE[record.state] then
    return 'unchanged', record.state
  end
  if record.dropped then
    return 'dropped', record.state
  end
  if not reopen(id, record) then
    return 'final', record.state
  end
  leave(id, record)
  note(id, record, record.state, record.finished)
  record.requeues = (record.requeues or 0) + 1
  record.rounds, record.refused, record.cancel, record.reason, record.finished = false, false, false, false, false
  if record.expires and tonumber(record.expires) <= now then
    record.expires, record.ttl = false, false
  end
  expire_at(id, record)
  put('content', id, false)
  enter_ready(id, record, now)
  note(id, record, 'queued')
  save(id, record)
  return 'done', record.state
end

local results = {}
for _, id in ipairs(call.ids) do
  results[#results + 1], results[#results + 2] = requeue(id)
end
conclude_call()
return answer(results)

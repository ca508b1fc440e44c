#!lua flags=allow-oom
-- change: give a message that waits another time, end, priority or pool.
-- call   operation, tenant, id, send (milliseconds, false for now), expires (milliseconds, false
--        for never), priority, pool; what is absent stays
-- gives  {now, 'ok', status, state}; status is `done`, `begun`, `final` or `missing`
-- moves  scheduled | queued | retrying | sending -> scheduled | queued; retrying -> retrying
-- uses   _clock _keys _record _places _endings _owner
local function waits_until(record, id)
  return record.lease and ready_since(record) or redis.call('ZSCORE', set(record.place), id)
end

local function other_flow(record)
  local pool, priority = string.match(record.flow, '^([^:]+):([^:]+)')
  if call.pool and call.pool ~= pool then
    record.refused, record.prefer = false, false
    redis.call('SADD', set('pools'), call.pool)
  end
  return (call.pool or pool) .. ':' .. (call.priority or priority)
end

-- How a message began follows from its send time, until that is another.
local function first_state(record)
  local created = tonumber(string.match(record.created, '^%d+'))
  return tonumber(record.send or 0) > created and 'scheduled' or 'queued'
end

local function set_times(record)
  if call.send ~= nil then
    record.first = record.first or first_state(record)
    record.send = call.send or now
    if record.ttl then
      record.expires = math.max(now, record.send) + record.ttl
    end
  end
  if call.expires ~= nil then
    record.expires = call.expires
    record.ttl = false
  end
end

local function enter_again(id, record, before, since)
  if call.send and call.send > now then
    enter_scheduled(id, record, call.send)
  elseif call.send ~= nil and before ~= 'queued' and before ~= 'sending' then
    enter_ready(id, record, now)
  elseif before == 'scheduled' then
    enter_scheduled(id, record, since)
  elseif before == 'retrying' then
    enter_retry(id, record, since)
  else
    enter_ready(id, record, since)
  end
end

local function change(id)
  local record = owned(id)
  if not record then
    return 'missing', ''
  end
  if not LIVE[record.state] then
    return 'final', record.state
  end
  if record.begun then
    return 'begun', record.state
  end
  local before, since = record.state, tonumber(waits_until(record, id))
  leave(id, record)
  end_lease(record)
  record.flow = other_flow(record)
  set_times(record)
  enter_again(id, record, before, since)
  put('expiring', id, false)
  expire_at(id, record)
  if record.state ~= before and not (before == 'sending' and record.state == 'queued') then
    record.waiting = false
    note(id, record, record.state)
  end
  save(id, record)
  return 'done', record.state
end

local status, state = change(call.id)
conclude_call()
return answer({status, state})

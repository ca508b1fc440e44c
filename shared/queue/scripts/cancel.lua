#!lua flags=allow-oom
-- cancel: send nothing more of these messages.
-- call   operation, tenant, ids
-- gives  {now, 'ok', status, state, …} for each id; status is `done` (nothing more will be sent),
--        `noted` (an attempt is in flight: what it leaves pending is cancelled), `final` or `missing`
-- moves  scheduled | queued | retrying | sending -> cancelled | partly_sent | failed | expired
-- uses   _clock _keys _record _places _endings _owner
local function cancel(id)
  local record = owned(id)
  if not record then
    return 'missing', ''
  end
  if not LIVE[record.state] then
    return record.cancel and 'done' or 'final', record.state
  end
  record.cancel = record.cancel or now
  if record.begun then
    save(id, record)
    return 'noted', record.state
  end
  finish(id, record, 'cancelled', told('cancelled'), 'cancelled')
  return 'done', record.state
end

local results = {}
for _, id in ipairs(call.ids) do
  results[#results + 1], results[#results + 2] = cancel(id)
end
conclude_call()
return answer(results)

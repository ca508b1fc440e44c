#!lua flags=allow-oom
-- release: hand back leases under which nothing was begun.
-- call   releases: {id, token, delay, waiting, refused, fail}; without `delay` the message goes
--        back to ready with the time it had, `fail` ends it with that code
-- gives  {now, 'ok', {status, state}…}; status is `released` or `stale`
-- moves  sending -> queued | retrying | failed | partly_sent | expired
-- uses   _clock _keys _record _places _endings
local function release(r)
  local record = read(r.id)
  if not record or token_of(record) ~= r.token or record.begun then
    return 'stale', ''
  end
  record.refused = r.refused or record.refused
  if r.fail then
    finish(r.id, record, 'failed', told(r.fail), r.fail)
  elseif record.expires and tonumber(record.expires) <= now then
    finish(r.id, record, 'expired', told('expired'), 'expired')
  else
    record.waiting = r.waiting or false
    if r.delay then
      leave(r.id, record)
      end_lease(record)
      enter_retry(r.id, record, now + r.delay)
      note(r.id, record, 'retrying')
    else
      hand_back(r.id, record)
    end
    save(r.id, record)
  end
  return 'released', record.state
end

local answers = {}
for _, one in ipairs(call.releases) do
  answers[#answers + 1] = {release(one)}
end
conclude_call()
return {now, 'ok', unpack(answers)}

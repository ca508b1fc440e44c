#!lua flags=allow-oom
-- reap: take back leases that ran out.
-- call   limit, ambiguous_delay_ms, max_rounds, max_age_ms
-- gives  {now, 'ok', {id, begun or not as 1 or 0, state, tenant, trace or ''}…}
-- moves  sending -> queued | retrying | failed | partly_sent | cancelled | expired
-- uses   _clock _keys _record _places _endings
-- What never began goes back as it was. What had begun may have reached its provider: its attempt
-- is closed as ambiguous, and the message gets a strike, for it may be what killed its sender.
local STRIKES = 3

local function lost_attempt(record)
  local provider, at, recipients = string.match(record.begun, '^(%S+) (%S+) (%S+)$')
  return string.format(
    '{"number":%s,"provider":"%s","started_at":%s,"duration_ms":%d,"outcome":"ambiguous",' ..
    '"detail":"the sender was lost while it worked on this","recipients":%s}',
    record.attempts, provider, at, math.max(0, now - at), recipients == '-' and 'null' or recipients)
end

local function retry(id, record)
  leave(id, record)
  record.prefer = string.match(record.begun, '^%S+')
  end_lease(record)
  record.waiting = 'ambiguous_delay'
  expire_at(id, record)
  enter_retry(id, record, now + call.ambiguous_delay_ms)
  note(id, record, 'retrying')
  save(id, record)
end

local function take_back_begun(id, record)
  close_attempt(id, lost_attempt(record))
  record.doubt = '1'
  record.strikes = (record.strikes or 0) + 1
  record.rounds = (record.rounds or 0) + 1
  record.since = record.since or now
  if record.cancel then
    finish(id, record, 'cancelled', told('cancelled'), 'cancelled')
  elseif record.strikes >= STRIKES then
    finish(id, record, 'failed', told('sender_lost_three_times'), 'sender_lost_three_times')
  elseif record.fail then
    finish(id, record, 'failed', told('ambiguous'), 'ambiguous')
  elseif record.expires and tonumber(record.expires) <= now then
    finish(id, record, 'expired', told('expired'), 'expired')
  elseif record.rounds >= call.max_rounds or now - record.since >= call.max_age_ms then
    finish(id, record, 'failed', told('attempts_exhausted'), 'attempts_exhausted')
  else
    retry(id, record)
  end
end

local function take_back_unbegun(id, record)
  hand_back(id, record)
  save(id, record)
end

local answers = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', set('leased'), '-inf', now, 'LIMIT', 0, call.limit)) do
  local record = read_entry('leased', id)
  if record then
    local begun = record.begun
    if begun then
      take_back_begun(id, record)
    else
      take_back_unbegun(id, record)
    end
    answers[#answers + 1] = {id, begun and '1' or '0', record.state, record.tenant, record.trace or ''}
  end
end
conclude_call()
return {now, 'ok', unpack(answers)}

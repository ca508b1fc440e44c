#!lua flags=allow-oom
-- settle: write what an attempt came to, and what the message does next.
-- call   max_rounds, max_age_ms, settlements: {id, token, number, attempt, all, told, some, reason,
--        fail, delay, counts, waiting, doubt, refused, prefer}
--        `all` is the state that every pending recipient gets, `told` what is said of each where the
--        attempt was not for all; else `some` lists {recipient, state, told} for those that are
--        decided, and the rest fails with the code `fail` or waits `delay`
-- gives  {now, 'ok', {status, state}…}; status is `settled`, `already`, `late` (a stale token that
--        brought an acceptance nobody else could bring), `stale` or `gone`
-- moves  sending -> sent | partly_sent | failed | cancelled | expired | retrying | queued;
--        scheduled | queued | retrying -> sent | partly_sent | failed | cancelled | expired
-- uses   _clock _keys _record _places _endings
-- No not_after: an outcome that is known is always worth writing.
local function all_decided(s, record)
  return record.split and redis.call('HLEN', key('recipients', s.id)) >= tonumber(record.recipients)
end

local function is_spent(s, record)
  if not s.counts then
    return false
  end
  record.rounds = (record.rounds or 0) + 1
  record.since = record.since or now
  return record.rounds >= call.max_rounds or now - record.since >= call.max_age_ms
end

local function wait(s, record)
  leave(s.id, record)
  end_lease(record)
  record.waiting, record.prefer, record.refused = s.waiting or false, s.prefer or false, s.refused or record.refused
  expire_at(s.id, record)
  enter_retry(s.id, record, now + s.delay)
  note(s.id, record, 'retrying')
  save(s.id, record)
end

local function go_on(s, record)
  if s.all then
    finish(s.id, record, s.all, s.told, s.reason)
  elseif all_decided(s, record) then
    finish(s.id, record, 'failed', '', s.reason)
  elseif record.cancel then
    finish(s.id, record, 'cancelled', told('cancelled'), 'cancelled')
  elseif s.fail then
    finish(s.id, record, 'failed', told(s.fail), s.fail)
  elseif record.expires and tonumber(record.expires) <= now then
    finish(s.id, record, 'expired', told('expired'), 'expired')
  elseif is_spent(s, record) then
    finish(s.id, record, 'failed', told('attempts_exhausted'), 'attempts_exhausted')
  else
    wait(s, record)
  end
end

-- What a stale token still may say: the provider has the message. To ignore that would send it
-- again for certain. A newer attempt that has begun will bring its own outcome; one that this
-- server knows nothing of had begun at a primary that was lost with it.
local function brings_acceptance(s, record)
  if not LIVE[record.state] or record.begun or tonumber(record.attempts or 0) > s.number then
    return false
  end
  if s.all == 'sent' then
    return true
  end
  for _, one in ipairs(s.some or {}) do
    if one[2] == 'sent' then
      return true
    end
  end
  return false
end

local function replace_attempt(s, record)
  if tonumber(record.attempts or 0) == s.number then
    redis.call('LSET', key('attempts', s.id), -1, s.attempt)
  else
    record.attempts = s.number
    close_attempt(s.id, s.attempt)
  end
end

-- A requeue may have opened recipients again that the attempt was not for.
local function settle_late(s, record)
  replace_attempt(s, record)
  if s.all and not s.told then
    finish(s.id, record, s.all, s.told, s.reason)
    return
  end
  if s.all then
    for _, recipient in ipairs(cjson.decode(string.match(s.attempt, '^[^\n]*')).recipients) do
      decide(s.id, record, recipient, s.all, s.told)
    end
  end
  decide_some(s.id, record, s.some)
  if all_decided(s, record) then
    finish(s.id, record, 'failed', '', s.reason)
    return
  end
  if record.state == 'sending' then -- whoever holds it now would send to those recipients again
    hand_back(s.id, record)
  end
  save(s.id, record)
end

local function settle(s)
  local record = read(s.id)
  if not record then
    return 'gone', ''
  end
  if record.settled == s.token .. ':' .. s.number then
    return 'already', record.state
  end
  if token_of(record) ~= s.token or not record.begun or tonumber(record.attempts) ~= s.number then
    if not brings_acceptance(s, record) then
      return 'stale', record.state
    end
    record.settled = s.token .. ':' .. s.number
    record.strikes = false
    settle_late(s, record)
    return 'late', record.state
  end
  record.settled = s.token .. ':' .. s.number
  record.strikes = false
  record.doubt = s.doubt and '1' or record.doubt
  close_attempt(s.id, s.attempt)
  decide_some(s.id, record, s.some)
  go_on(s, record)
  return 'settled', record.state
end

local answers = {}
for _, settlement in ipairs(call.settlements) do
  answers[#answers + 1] = {settle(settlement)}
end
conclude_call()
return {now, 'ok', unpack(answers)}

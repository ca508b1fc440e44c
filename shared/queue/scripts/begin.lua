#!lua flags=allow-oom
-- begin: write down an attempt before anything goes to a provider, and close the lease's previous one.
-- call   attempts: {id, token, number, provider, to, closed, some}; `to` names the recipients where
--        they are not all, `closed` is the previous attempt of this lease, `some` lists
--        {recipient, state, told} for those that it decided
-- gives  {now, 'ok', {status, first begin, now}…}; status is `begun` (also when this very attempt had
--        begun), `stale`, `cancelled`, `expired` or `paused` (nothing was written, the lease is as it was)
-- moves  sending -> expired | cancelled | partly_sent | failed
-- uses   _clock _keys _record _places _endings _pause
local function begin(attempt)
  local record = read(attempt.id)
  if not record or token_of(record) ~= attempt.token then
    return 'stale'
  end
  local known = tonumber(record.attempts or 0)
  if attempt.number == known and record.begun then
    return 'begun', record.started
  end
  if attempt.number ~= known + 1 then
    return 'stale'
  end
  local pool = string.match(record.flow, '^[^:]+')
  if is_paused('everything') or is_paused('pool ' .. pool) or is_paused('provider ' .. attempt.provider) then
    return 'paused'
  end
  if attempt.closed then
    close_attempt(attempt.id, attempt.closed)
    decide_some(attempt.id, record, attempt.some)
  end
  if record.cancel then
    finish(attempt.id, record, 'cancelled', told('cancelled'), 'cancelled')
    return 'cancelled'
  end
  if record.expires and tonumber(record.expires) <= now then
    finish(attempt.id, record, 'expired', told('expired'), 'expired')
    return 'expired'
  end
  record.attempts = attempt.number
  record.begun = attempt.provider .. ' ' .. text(now) .. ' ' .. (attempt.to or '-')
  record.started = record.started or now
  record.duplicate = record.doubt
  if record.expires then
    put('expiring', attempt.id, false)
  end
  save(attempt.id, record)
  return 'begun', record.started
end

local answers = {}
for _, attempt in ipairs(call.attempts) do
  local status, started = begin(attempt)
  answers[#answers + 1] = {status, text(started or ''), text(now)}
end
conclude_call()
return {now, 'ok', unpack(answers)}

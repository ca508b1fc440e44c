-- _endings: how a message's life is told (attempts, history) and how it ends.
local FIRST_ATTEMPTS, KEPT_ATTEMPTS, KEPT_EVENTS, KEPT_ROUTES = 5, 50, 100, 3

-- The first change of state and the end that stands follow from the record; history holds what
-- lies between.
local function note(id, record, state, at)
  local entry = state .. ' ' .. text(at or now) .. ' ' .. text(record.attempts or 0)
  if redis.call('RPUSH', key('history', id), entry) > KEPT_EVENTS then
    redis.call('LTRIM', key('history', id), -KEPT_EVENTS, -1)
  end
end

-- An attempt is its JSON, and its route behind a line break: the first attempt and the last
-- three keep their routes.
local function close_attempt(id, attempt)
  local attempts = key('attempts', id)
  local length = redis.call('RPUSH', attempts, attempt)
  local fading = length - KEPT_ROUTES - 1
  if fading > 0 then
    local whole = redis.call('LINDEX', attempts, fading)
    redis.call('LSET', attempts, fading, string.match(whole, '^[^\n]*'))
  end
  if length > KEPT_ATTEMPTS then
    redis.call('LSET', attempts, FIRST_ATTEMPTS, '')
    redis.call('LREM', attempts, 1, '')
  end
end

local function decide(id, record, recipient, state, told)
  record.split = '1'
  redis.call('HSETNX', key('recipients', id), recipient, state .. ' ' .. told)
end

local function decide_some(id, record, some)
  for _, one in ipairs(some or {}) do
    decide(id, record, one[1], one[2], one[3])
  end
end

local function derived_state(id)
  local seen = {}
  for _, decided in ipairs(redis.call('HVALS', key('recipients', id))) do
    seen[string.match(decided, '^%S+')] = true
  end
  local only
  for state in pairs(seen) do
    if only then
      if seen.sent then
        return 'partly_sent', seen
      end
      return seen.failed and 'failed' or 'expired', seen
    end
    only = state
  end
  return only, seen
end

-- Every recipient that is still pending gets `state`; the message's own state follows from all. Without a
-- `reason` the last ones were served: what is not sent was refused before, or cancelled before a requeue.
local function finish(id, record, state, told, reason)
  local seen = {failed = true}
  if record.split then
    for recipient = 0, record.recipients - 1 do
      decide(id, record, recipient, state, told)
    end
    state, seen = derived_state(id)
  end
  leave(id, record)
  end_lease(record)
  record.waiting, record.prefer, record.strikes, record.since = false, false, false, false
  record.reason = state ~= 'sent' and (reason or seen.failed and 'recipients_rejected' or 'cancelled')
  record.finished = now
  if record.expires then
    put('expiring', id, false)
  end
  if state == 'failed' or state == 'partly_sent' then
    enter(id, record, state, 'failed', now)
  else
    enter(id, record, state, 'finished', now)
    put('content', id, now)
  end
  if state == 'sent' or state == 'partly_sent' then
    tally('sent')
  end
  save(id, record)
end

local function told(code)
  return cjson.encode({at = now, reason = {code = code}})
end

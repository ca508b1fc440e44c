#!lua
-- submit: store messages, each in the place that its send time and priority say.
-- call   idempotency_ms, messages: {id, tenant, flow, recipients, bytes, domain, full_at,
--        send | delay, expires | ttl, fail, pieces, trace, key, fingerprint}; all times in milliseconds
-- bodies ARGV[2…], one for each message, in order
-- gives  {now, 'ok', {status, id, created, send, expires, flow, domain}…}; status is `accepted`,
--        `repeated` (this very call, again), `replayed` (the idempotency key's first answer),
--        `reused` (the key with another fingerprint), `full`, or `missing_pieces`
-- moves  nothing -> scheduled | queued
-- uses   _clock _keys _record _places
-- No allow-oom flag: when memory is full nothing is accepted, and what is here drains.
local answers, pools, claimed = {}, {}, {}

local function answer(status, id, created, send, expires, flow, domain)
  answers[#answers + 1] = {status, id, created or '', send or '', expires or '', flow or '', domain or ''}
end

local FIRST = {'id', 'fingerprint', 'created', 'send', 'expires', 'flow', 'domain'}

local function first_answer(message)
  local first = claimed[message.key] or redis.call('HMGET', key('idempotency', message.key), unpack(FIRST))
  if not first[1] then
    return false
  end
  if first[2] ~= message.fingerprint then
    answer('reused', first[1])
  else
    -- The answer promises durability again: a write makes WAIT count for this connection.
    redis.call('HSET', key('idempotency', message.key), 'replayed', text(now))
    local status = first[1] == message.id and 'repeated' or 'replayed'
    answer(status, first[1], first[3], first[4], first[5], first[6], first[7])
  end
  return true
end

local function deleted(message)
  local first = not message.key and redis.call('GET', key('operation', message.id))
  if not first then
    return false
  end
  redis.call('PEXPIRE', key('operation', message.id), 60000) -- a write, so that WAIT counts
  local created, send, expires, flow = unpack(cjson.decode(first))
  answer('repeated', message.id, created, send, expires, flow, message.domain)
  return true
end

local function repeated(message)
  local stored = redis.call('HMGET', key('message', message.id), 'created', 'send', 'expires', 'flow')
  if not stored[1] then
    return deleted(message)
  end
  redis.call('HSET', key('message', message.id), 'created', stored[1]) -- a write, so that WAIT counts
  answer('repeated', message.id, stored[1], stored[2], stored[3], stored[4], message.domain)
  return true
end

local function has_all_pieces(message)
  for piece = 1, message.pieces or 0 do
    if redis.call('EXISTS', key('piece', message.id) .. ':' .. piece) == 0 then
      return false
    end
  end
  return true
end

-- Entries of the log are named by the instant of acceptance; after a step backwards of the clock
-- Redis goes on from the newest name.
local function log(id)
  local entry = redis.pcall('XADD', set('log'), string.format('%.0f-*', now), 'id', id)
  if type(entry) == 'table' then
    entry = redis.call('XADD', set('log'), '*', 'id', id)
  end
  return entry
end

local function store(message, body)
  local send = message.send or (message.delay and now + message.delay)
  local expires = message.expires or (message.ttl and math.max(now, send or 0) + message.ttl)
  local record = {
    tenant = message.tenant, flow = message.flow, recipients = message.recipients, bytes = message.bytes,
    send = send, expires = expires, ttl = message.ttl, pieces = message.pieces, fail = message.fail,
    trace = message.trace, created = log(message.id),
  }
  for piece = 1, message.pieces or 0 do
    redis.call('PERSIST', key('piece', message.id) .. ':' .. piece)
  end
  redis.call('SET', key('body', message.id), body)
  if send and send > now then
    enter_scheduled(message.id, record, send)
  else
    enter_ready(message.id, record, now)
  end
  expire_at(message.id, record)
  save(message.id, record)
  if message.key then
    claimed[message.key] = {
      message.id, message.fingerprint, record.created, text(send or ''), text(expires or ''), message.flow, message.domain,
    }
  end
  pools[string.match(message.flow, '^[^:]+')] = true
  tally('accepted')
  answer('accepted', message.id, record.created, text(send), text(expires), message.flow, message.domain)
end

local live = tonumber(redis.call('HGET', set('counts'), 'live') or 0)
for index, message in ipairs(call.messages) do
  if not (message.key and first_answer(message)) and not repeated(message) then
    if live + (counted.live or 0) >= message.full_at then
      answer('full', message.id)
    elseif not has_all_pieces(message) then
      answer('missing_pieces', message.id)
    else
      store(message, ARGV[index + 1])
    end
  end
end
for pool in pairs(pools) do
  redis.call('SADD', set('pools'), pool)
end
conclude_call()
-- Last of all: a key must not answer for a message that is not there.
for claim, first in pairs(claimed) do
  local fields = {}
  for i, name in ipairs(FIRST) do
    fields[2 * i - 1], fields[2 * i] = name, first[i]
  end
  redis.call('HSET', key('idempotency', claim), unpack(fields))
  redis.call('PEXPIRE', key('idempotency', claim), call.idempotency_ms)
end
return {now, 'ok', unpack(answers)}

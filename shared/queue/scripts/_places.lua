-- _places: the one way in which a message changes its place, with what must follow each change:
-- the counts, the list of flows that have work, and the bells for those who sleep.
-- Changes are gathered and written by `conclude_call`, one command for each set.
local moves, counted, tallied, refilled, soonest = {}, {}, {}, {}, {}
local LIVE = {scheduled = true, queued = true, sending = true, retrying = true}

local function put(name, id, score)
  moves[name] = moves[name] or {}
  moves[name][id] = score
end

-- An entry without a record can neither be sent nor told of: it is taken out, for it would hold up
-- all that lies behind it. `doctor` finds what else is left of such a message.
local function read_entry(name, id)
  local record = read(id)
  if not record then
    put(name, id, false)
    local flow = string.match(name, '^ready:(.*)$')
    if flow then
      refilled[flow] = true
    end
  end
  return record
end

local function count(flow, state, by)
  local field = flow .. ':' .. state
  counted[field] = (counted[field] or 0) + by
  if LIVE[state] then
    counted.live = (counted.live or 0) + by
  end
end

local function tally(what)
  tallied[what] = (tallied[what] or 0) + 1
end

local function priority_of(record)
  return string.match(record.flow, ':([^:]+)')
end

local function due(name, id, instant)
  put(name, id, instant)
  if not soonest[name] or instant < soonest[name] then
    soonest[name] = instant
  end
end

local function leave(id, record)
  put(record.place, id, false)
  if record.state == 'queued' then
    refilled[record.flow] = true
  end
  count(record.flow, record.state, -1)
end

local function enter(id, record, state, place, score)
  record.state = state
  record.place = place
  if state == 'scheduled' or state == 'retrying' then
    due(place, id, score)
  else
    put(place, id, score)
  end
  if state == 'queued' then
    refilled[record.flow] = true
  end
  count(record.flow, state, 1)
end

local function enter_ready(id, record, since)
  enter(id, record, 'queued', 'ready:' .. record.flow, since)
end

local function enter_retry(id, record, instant)
  enter(id, record, 'retrying', 'retry:' .. priority_of(record), instant)
end

local function enter_scheduled(id, record, instant)
  enter(id, record, 'scheduled', 'scheduled:' .. priority_of(record), instant)
end

local function expire_at(id, record)
  if record.expires then
    due('expiring', id, tonumber(record.expires))
  end
end

-- A lease stands in its record as `token ready-since`, an attempt under way as `provider instant
-- recipients`, and the recipients as `-` where they are all. One field each: they are written and
-- removed for every message that is ever sent.
local function token_of(record)
  return record.lease and string.match(record.lease, '^%S+')
end

local function ready_since(record)
  return string.match(record.lease, '%S+$')
end

local function end_lease(record)
  record.lease, record.begun = false, false
end

local function hand_back(id, record)
  local since = ready_since(record)
  leave(id, record)
  end_lease(record)
  enter_ready(id, record, since)
end

local function write_moves()
  for name, scores in pairs(moves) do
    local gone, placed = {}, {}
    for id, score in pairs(scores) do
      if score then
        placed[#placed + 1] = score
        placed[#placed + 1] = id
      else
        gone[#gone + 1] = id
      end
    end
    if #gone > 0 then
      redis.call('ZREM', set(name), unpack(gone))
    end
    if #placed > 0 then
      redis.call('ZADD', set(name), unpack(placed))
    end
  end
end

local function write_numbers()
  for field, by in pairs(counted) do
    if by ~= 0 then
      redis.call('HINCRBY', set('counts'), field, by)
    end
  end
  local slot = set('rate:' .. string.format('%d', math.floor(now / 10000)))
  for what, by in pairs(tallied) do
    redis.call('HINCRBY', slot, what, by)
    redis.call('PEXPIRE', slot, 120000)
  end
end

local function ring_wake()
  for flow in pairs(refilled) do
    local head = redis.call('ZRANGE', set('ready:' .. flow), 0, 0, 'WITHSCORES')
    if #head == 0 then
      redis.call('ZREM', set('work'), flow)
    elseif redis.call('ZADD', set('work'), head[2], flow) == 1 then
      redis.call('SPUBLISH', set('wake'), flow)
    end
  end
end

local function ring_due()
  local earliest
  for name, instant in pairs(soonest) do
    local head = redis.call('ZRANGE', set(name), 0, 0, 'WITHSCORES')
    if #head > 0 and tonumber(head[2]) >= instant and (not earliest or instant < earliest) then
      earliest = instant
    end
  end
  if earliest then
    redis.call('SPUBLISH', set('due'), string.format('%d', earliest))
  end
end

-- The last act of every script that changes messages.
local function conclude_call()
  save_records()
  write_moves()
  write_numbers()
  ring_wake()
  ring_due()
end

local DUE = {
  'scheduled:critical', 'retry:critical', 'scheduled:high', 'retry:high',
  'scheduled:normal', 'retry:normal', 'scheduled:bulk', 'retry:bulk',
}

local function next_due()
  local earliest = -1
  for _, name in ipairs({'expiring', unpack(DUE)}) do
    local head = redis.call('ZRANGE', set(name), 0, 0, 'WITHSCORES')
    if #head > 0 and (earliest == -1 or tonumber(head[2]) < earliest) then
      earliest = tonumber(head[2])
    end
  end
  return earliest
end

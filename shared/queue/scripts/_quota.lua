-- _quota: what may be used in a span of time. Units are counted where they are drawn; the slack covers
-- those that lie in a sender's stock, so that no window of the provider's own ever holds more.
-- A rolling quota counts slots of time: there are never more of them than units.
local SLACK = 1250

local function counted(quota)
  return set('quota:' .. quota.name), set('slots:' .. quota.name)
end

local function slot_of(quota, instant)
  return string.format('%d', math.floor(instant / quota.slot_ms))
end

-- At most a thousand slots end in a call; what is left counts as used until the next. Each slot keeps its own
-- end: a quota that is raised far enough counts in longer ones from then on.
local function forget_old(quota)
  local counts, slots = counted(quota)
  for _, slot in ipairs(redis.call('ZRANGEBYSCORE', slots, '-inf', string.format('%d', now), 'LIMIT', 0, 1000)) do
    redis.call('HINCRBY', counts, 'used', -redis.call('HGET', counts, slot))
    redis.call('HDEL', counts, slot)
    redis.call('ZREM', slots, slot)
  end
end

local function use_rolling(quota, units)
  local counts, slots = counted(quota)
  local slot = slot_of(quota, now)
  local ends = string.format('%d', (slot + 1) * quota.slot_ms + quota.window_ms + SLACK)
  redis.call('HINCRBY', counts, 'used', units)
  redis.call('HINCRBY', counts, slot, units)
  redis.call('ZADD', slots, ends, slot)
  redis.call('PEXPIREAT', counts, ends)
  redis.call('PEXPIREAT', slots, ends)
end

local function give_back_rolling(quota, units, instant)
  local counts = counted(quota)
  local slot = slot_of(quota, instant)
  local there = math.min(units, tonumber(redis.call('HGET', counts, slot) or 0))
  if there > 0 then
    redis.call('HINCRBY', counts, slot, -there)
    redis.call('HINCRBY', counts, 'used', -there)
  end
end

-- Returns what is used, and when the first of it frees (nil where nothing is used).
local function rolling(quota)
  forget_old(quota)
  local counts, slots = counted(quota)
  local used = tonumber(redis.call('HGET', counts, 'used') or 0)
  local oldest = redis.call('ZRANGE', slots, 0, 0, 'WITHSCORES')
  return used, tonumber(oldest[2])
end

-- A calendar's span is told by the caller, who knows zones; the latest one that was told holds.
local function calendar(quota)
  local counts = counted(quota)
  local from, used = unpack(redis.call('HMGET', counts, 'from', 'used'))
  if not from or quota.from > tonumber(from) then
    from, used = quota.from, 0
    redis.call('HSET', counts, 'from', string.format('%d', from), 'used', used)
    redis.call('PEXPIREAT', counts, string.format('%d', quota['until']))
  end
  if quota.from < tonumber(from) or now >= quota['until'] - SLACK then
    used = math.max(used, quota.messages)
  end
  return tonumber(used), quota['until']
end

local function give_back_calendar(quota, units, instant)
  local counts = counted(quota)
  local from, used = unpack(redis.call('HMGET', counts, 'from', 'used'))
  if from and instant >= tonumber(from) then
    redis.call('HINCRBY', counts, 'used', -math.min(units, used))
  end
end

local function look_at(quota)
  if quota.window_ms then
    return rolling(quota)
  end
  return calendar(quota)
end

local function use(quota, units)
  if quota.window_ms then
    use_rolling(quota, units)
  else
    redis.call('HINCRBY', counted(quota), 'used', units)
  end
end

local function give_back(quota, units, instant)
  if quota.window_ms then
    give_back_rolling(quota, units, instant)
  else
    give_back_calendar(quota, units, instant)
  end
end

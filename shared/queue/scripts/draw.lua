#!lua flags=allow-oom
-- draw: take tokens from the bucket and the quotas that all senders of a provider share.
-- call   rate (tokens a second, absent: no limit), burst, wanted, reserve (tokens that must stay),
--        quotas: {name, messages, and window_ms, slot_ms of a rolling or from, until of a calendar's span},
--        back: {units, instant of their draw, sender, its rising number} of what was drawn and not used,
--        draw: {sender, its rising number, number of the latest draw whose answer it has heard}, where there are quotas
-- gives  {now, 'ok', granted, instant at which the next token is there, blocked until or 0,
--        instant at which a spent quota frees or 0, instant of the grant, {used of each quota}}
-- moves  nothing
-- uses   _clock _keys _limit _quota
-- KEYS[1] is the provider's tag. A clock that stepped backwards neither gives nor takes tokens.
local rate = effective(call.rate)
local burst = rate and burst_now(rate, call.rate, call.burst or rate)

local function refill()
  local elapsed = math.max(0, now - (state.at or now))
  return math.min(burst, (state.tokens or burst) + elapsed * rate / 1000)
end

local tokens = rate and refill()

-- A call that is repeated because its answer was lost gives nothing back twice.
local function take_back(units, instant, sender, number)
  local returned = key('returned', sender)
  if number <= tonumber(redis.call('GET', returned) or 0) then
    return
  end
  redis.call('SET', returned, number, 'PX', 60000)
  tokens = tokens and math.min(burst, tokens + units)
  for _, quota in ipairs(call.quotas) do
    give_back(quota, units, instant)
  end
end

if call.back then
  take_back(unpack(call.back))
end

-- What a draw granted whose answer was lost goes back with the sender's next draw: a unit of a month is too
-- dear to be lost to a slow answer. The same draw again is answered as it was, and one that comes late, after
-- the next one, is granted nothing.
local wanted, again = call.wanted, nil

local function resume(sender, number, heard)
  local latest = redis.call('HMGET', key('drawn', sender), 'number', 'units', 'at')
  local before = tonumber(latest[1] or 0)
  if number <= before then
    wanted = 0
    again = number == before and {units = tonumber(latest[2]), at = tonumber(latest[3])} or {units = 0, at = now}
  elseif before > heard then
    tokens = tokens and math.min(burst, tokens + latest[2])
    for _, quota in ipairs(call.quotas) do
      give_back(quota, tonumber(latest[2]), tonumber(latest[3]))
    end
  end
end

local function remember(units, sender, number)
  local drawn = key('drawn', sender)
  redis.call('HSET', drawn, 'number', number, 'units', units, 'at', string.format('%d', now))
  redis.call('PEXPIRE', drawn, 600000)
end

if call.draw then
  resume(unpack(call.draw))
end

local granted, frees, used = wanted, 0, {}
local reserve = rate and math.min(call.reserve, burst - 1)
for i, quota in ipairs(call.quotas) do
  local spent, ends = look_at(quota)
  used[i] = spent
  granted = math.min(granted, quota.messages - spent)
  if spent >= quota.messages then
    frees = math.max(frees, ends)
  end
end
if tokens then
  granted = math.min(granted, math.floor(tokens - reserve + 1e-9))
end
if blocked_until() ~= 0 then
  granted = 0
end
granted = math.max(0, granted)
for i, quota in ipairs(call.quotas) do
  if granted > 0 then
    use(quota, granted)
    used[i] = used[i] + granted
  end
end

if call.draw and not again then
  remember(granted, unpack(call.draw))
end

local next_at = now
if tokens then
  tokens = tokens - granted
  redis.call('HSET', bucket, 'tokens', string.format('%.6f', tokens), 'at', string.format('%d', now))
  next_at = now + math.ceil(math.max(0, reserve + 1 - tokens) / rate * 1000)
end
again = again or {units = granted, at = now}
return {now, 'ok', again.units, math.max(next_at, blocked_until()), blocked_until(), frees, again.at, used}

#!lua flags=allow-oom
-- share: a sender tells what it learned of a provider, and hears what the others know.
-- call   sender, told (JSON), accepted (messages since it told last), keep_ms (for which the word of a
--        sender that is gone is kept), rate (as configured, absent: none), throttled: {retry after in ms
--        or false, whether that means a quota}, ramp (whether the provider comes back)
-- gives  {now, 'ok', blocked until or 0, rate that holds now or false, whether it ramps (or false), now,
--        {sender, instant, told}…}
-- moves  nothing
-- uses   _clock _keys _limit
-- KEYS[1] is the provider's tag.
local second = math.floor(now / 1000)

local function note_accepted()
  local accepted = set('accepted')
  if call.accepted > 0 then
    redis.call('HINCRBY', accepted, string.format('%d', second), call.accepted)
    redis.call('PEXPIRE', accepted, 60000)
  end
  local in_two, in_ten = 0, 0
  local seconds = redis.call('HGETALL', accepted)
  for i = 1, #seconds, 2 do
    local age = second - seconds[i]
    if age > 10 or age < 0 then
      redis.call('HDEL', accepted, seconds[i])
    elseif age >= 1 then
      in_ten = in_ten + seconds[i + 1]
    end
    if age >= 0 and age <= 2 then
      in_two = in_two + seconds[i + 1]
    end
  end
  return in_two / 2, in_ten / 10
end

-- The usual rate outlives an outage: only what is accepted moves it, up at once and down slowly.
local function learn_usual(rate)
  local usual = state.usual or rate
  local stays = math.min(1, math.exp(((state.usual_at or now) - now) / 60000))
  keep('usual', math.max(rate, rate + stays * (usual - rate)))
  keep('usual_at', now)
end

local function cut(accepted)
  local holds = rate_now(call.rate)
  local rate = 0.85 * math.min(holds, 1.2 * accepted)
  return math.min(holds, math.max(rate, 0.03 * call.rate))
end

local function throttle(accepted)
  local retry, is_quota = unpack(call.throttled)
  local since = now - (state.cut or -math.huge)
  if since < 0 then
    since = math.huge
  end
  local counts = not is_quota and since >= 1000
  local strikes = state.strikes or 0
  if counts then
    strikes = since <= 10000 and math.min(strikes + 1, 5) or 0
  end
  keep('blocked', math.max(blocked_until(), now + (retry or 500 * 2 ^ strikes)))
  if counts then
    if call.rate then
      keep('rate', cut(accepted))
    end
    keep('strikes', strikes)
    keep('cut', now)
  end
end

local function hear()
  local heard = {}
  local senders = redis.call('HGETALL', set('senders'))
  for i = 1, #senders, 2 do
    local at, told = string.match(senders[i + 1], '^(%d+) (.*)$')
    if now - at > call.keep_ms then
      redis.call('HDEL', set('senders'), senders[i])
    elseif senders[i] ~= call.sender then
      heard[#heard + 1] = {senders[i], at, told}
    end
  end
  return heard
end

local lately, steadily = note_accepted()
if steadily > 0 then
  learn_usual(steadily)
end
if call.throttled then
  throttle(lately)
end
if call.ramp then
  start_ramp()
end
redis.call('HSET', set('senders'), call.sender, string.format('%d ', now) .. call.told)
local rate = effective(call.rate)
return {now, 'ok', blocked_until(), rate and string.format('%.3f', rate), ramp_now(), now, unpack(hear())}

-- _limit: what a provider takes at present. `shared/policy/limiter.py` is the definition of this arithmetic.
local bucket = set('bucket')
local fields = {'tokens', 'at', 'blocked', 'rate', 'cut', 'strikes', 'ramp', 'usual', 'usual_at'}
local state = {}
for i, value in ipairs(redis.call('HMGET', bucket, unpack(fields))) do
  state[fields[i]] = tonumber(value)
end

local function keep(field, value)
  state[field] = value
  redis.call('HSET', bucket, field, string.format('%.6f', value))
end

local function blocked_until()
  return state.blocked and state.blocked > now and state.blocked or 0
end

-- What was left by the last cut, held, then growing back evenly. A clock that went backwards must not freeze a cut.
local function rate_now(configured)
  if not state.rate or now < state.cut then
    return configured
  end
  local growing = math.max(0, now - state.cut - 3000)
  return math.min(configured, state.rate + 0.03 * configured * growing / 1000)
end

-- The most a provider gets after its breaker closed or its pause ended, false for no such limit: it may have
-- come back cold.
local function ramp_now()
  if not state.ramp then
    return false
  end
  local before = math.max(2, state.usual or 2)
  local doublings = math.max(0, math.floor((now - state.ramp) / 500))
  local rate = math.max(2, 0.1 * before) * 2 ^ doublings
  return rate < 4 * before and rate
end

local function start_ramp()
  if not state.ramp or now - state.ramp >= 10000 or now < state.ramp then
    keep('ramp', now)
  end
end

-- The rate that holds now, false for none.
local function effective(configured)
  local rate, ramp = configured and rate_now(configured), ramp_now()
  return rate and ramp and math.min(rate, ramp) or rate or ramp
end

local function burst_now(rate, configured, burst)
  if not configured or rate < configured then
    burst = math.min(burst, 0.25 * rate)
  end
  return math.max(1, burst)
end

#!lua flags=allow-oom
-- draw: take tokens from the bucket that all senders of a provider share.
-- call   rate (tokens a second, absent: no limit), burst, wanted, reserve (tokens that must stay),
--        block_ms (from a throttled answer: nobody draws until then)
-- gives  {now, 'ok', granted, instant at which the next token is there, blocked until or 0, now}
-- moves  nothing
-- uses   _clock _keys
-- KEYS[1] is the provider's tag. A clock that stepped backwards neither gives nor takes tokens.
local bucket = set('bucket')
local state = redis.call('HMGET', bucket, 'tokens', 'at', 'blocked')
local blocked = tonumber(state[3] or 0)
if call.block_ms then
  blocked = math.max(blocked, now + call.block_ms)
  redis.call('HSET', bucket, 'blocked', string.format('%d', blocked))
end
if blocked > now then
  return {now, 'ok', 0, blocked, blocked, now}
end
if not call.rate then
  return {now, 'ok', call.wanted, now, 0, now}
end
local elapsed = math.max(0, now - (state[2] or 0))
local tokens = math.min(call.burst, (state[1] or call.burst) + elapsed * call.rate / 1000)
local granted = math.max(0, math.min(call.wanted, math.floor(tokens - call.reserve + 1e-9)))
tokens = tokens - granted
redis.call('HSET', bucket, 'tokens', string.format('%.6f', tokens), 'at', string.format('%d', now))
local missing = math.max(0, call.reserve + 1 - tokens)
return {now, 'ok', granted, now + math.ceil(missing / call.rate * 1000), 0, now}

-- _owner: what a message's owner asks for is done once for each operation token, and answered
-- alike as often as it is asked. The token need not outlive `not_after`: later calls are refused.
local operation = key('operation', call.operation)
local earlier = redis.call('GET', operation)
if earlier then
  -- Durability is promised again, so something is written again: WAIT on a connection that wrote nothing proves nothing.
  redis.call('PEXPIRE', operation, 60000)
  return {now, 'ok', unpack(cjson.decode(earlier))}
end

local function owned(id)
  local record = read(id)
  return record and record.tenant == call.tenant and record
end

local function answer(results)
  redis.call('SET', operation, cjson.encode(results), 'PX', 60000)
  return {now, 'ok', unpack(results)}
end

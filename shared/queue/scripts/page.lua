#!lua flags=no-writes
-- page: ended messages of one place, the newest first and ties by id, from behind a position on.
-- call   tenant, place, states, pool, before, before_id, limit, look
-- gives  {now, 'ok', 1 where more may follow or 0, finished and id looked at last,
--        {id, record, head, recipients, last attempt}…}
-- uses   _clock _keys _head _record
local STEP = 100
local wanted, rows = {}, {}
for _, state in ipairs(call.states) do
  wanted[state] = true
end

local function matches(record)
  return record and record.tenant == call.tenant and wanted[record.state]
    and (not call.pool or string.match(record.flow, '^[^:]+') == call.pool)
end

local function row(id)
  rows[#rows + 1] = {
    id, redis.call('HGETALL', key('message', id)), head(id), redis.call('HGETALL', key('recipients', id)),
    redis.call('LINDEX', key('attempts', id), -1),
  }
end

local last_finished, last_id = '', ''
local looked = 0
while looked < call.look do
  local members = redis.call(
    'ZREVRANGEBYSCORE', set(call.place), call.before, '-inf', 'WITHSCORES', 'LIMIT', looked, STEP)
  for i = 1, #members, 2 do
    local id, finished = members[i], members[i + 1]
    if tonumber(finished) < call.before or id < call.before_id then
      last_finished, last_id = finished, id
      if matches(read(id)) then
        row(id)
      end
      if #rows == call.limit then
        return {now, 'ok', 1, last_finished, last_id, unpack(rows)}
      end
    end
  end
  looked = looked + #members / 2
  if #members < 2 * STEP then
    return {now, 'ok', 0, last_finished, last_id, unpack(rows)}
  end
end
return {now, 'ok', 1, last_finished, last_id, unpack(rows)}

#!lua flags=allow-oom
-- move: take what waits in one pool to another, one step of one place.
-- call   operation, tenant, from, to, place, cursor, limit
-- gives  {now, 'ok', moved, next cursor}; cursor 0 ends the place
-- moves  queued -> queued; scheduled -> scheduled; retrying -> retrying
-- uses   _clock _keys _record _places _owner
-- A ready flow is emptied from its head, or from behind those that stay: its cursor is one more
-- than they are. The sets of a priority hold every pool's messages and are walked by ZSCAN, which
-- misses nobody who is there from beginning to end.
local moved, stayed = 0, 0

local function move(id)
  local record = read_entry(call.place, id)
  if not record then
    return
  end
  local pool, rest = string.match(record.flow, '^([^:]+):(.*)$')
  if pool ~= call.from or pool == call.to or record.tenant ~= call.tenant then
    stayed = stayed + 1
    return
  end
  local since = redis.call('ZSCORE', set(record.place), id)
  leave(id, record)
  record.flow = call.to .. ':' .. rest
  record.refused, record.prefer = false, false
  if record.state == 'queued' then
    enter_ready(id, record, since)
  else
    enter(id, record, record.state, record.place, tonumber(since))
  end
  save(id, record)
  moved = moved + 1
end

local ids, cursor = {}, '0'
local passed = string.match(call.place, '^ready:') and math.max(0, call.cursor - 1)
local more = false
if passed then
  ids = redis.call('ZRANGE', set(call.place), passed, passed + call.limit - 1)
  more = redis.call('ZCARD', set(call.place)) > passed + #ids
else
  local step = redis.call('ZSCAN', set(call.place), call.cursor, 'COUNT', call.limit)
  cursor = step[1]
  for i = 1, #step[2], 2 do
    ids[#ids + 1] = step[2][i]
  end
end
for _, id in ipairs(ids) do
  move(id)
end
if more then
  cursor = text(1 + passed + stayed)
end
if moved > 0 then
  redis.call('SADD', set('pools'), call.to)
end
conclude_call()
return answer({tostring(moved), cursor})

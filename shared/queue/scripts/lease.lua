#!lua flags=allow-oom
-- lease: give ready messages to one sender, flow by flow in the order given, up to a count and two sizes.
-- call   sender, number, token, lease_ms, count, reply_bytes, held_bytes, flows: {flow, quota, newest}
-- gives  {now, 'ok', work, {id, token, ready since, record as it was, recipients decided, body}…};
--        work lists the flows that still hold messages, each with the time of its head;
--        the same number again gives those still leased under its token, a lower one {now, 'stale'}
-- moves  queued -> sending
-- uses   _clock _keys _record _places
-- A body whose content lies in pieces is given as its head alone. At least one message fits.
local leased, ids = {}, {}
local replied, held = 0, 0

local function give(id, record)
  local decided = record.split and redis.call('HKEYS', key('recipients', id)) or {}
  leased[#leased + 1] = {
    id, token_of(record), ready_since(record), flats[id], decided, redis.call('GET', key('body', id)),
  }
  ids[#ids + 1] = id
end

local function fits(record)
  if #ids == 0 then
    return true
  end
  return replied <= call.reply_bytes and held + record.bytes <= call.held_bytes
end

local function take(flow, since, id)
  local record = read_entry('ready:' .. flow, id)
  if not record then
    return true
  end
  if not record.pieces then
    replied = replied + record.bytes
  end
  if not fits(record) then
    return false
  end
  held = held + record.bytes
  leave(id, record)
  record.lease = call.token .. ' ' .. since
  enter(id, record, 'sending', 'leased', now + call.lease_ms)
  save(id, record)
  give(id, record)
  return true
end

local function draw(request)
  local quota = math.min(request.quota, call.count - #ids)
  if quota <= 0 then
    return true
  end
  local range = request.newest and 'ZREVRANGE' or 'ZRANGE'
  local waiting = redis.call(range, set('ready:' .. request.flow), 0, quota - 1, 'WITHSCORES')
  for i = 1, #waiting, 2 do
    if not take(request.flow, waiting[i + 1], waiting[i]) then
      return false
    end
  end
  return true
end

local function reply()
  return {now, 'ok', redis.call('ZRANGE', set('work'), 0, -1, 'WITHSCORES'), unpack(leased)}
end

local sender = key('sender', call.sender)
local latest = redis.call('HMGET', sender, 'number', 'token', 'ids')
local number = tonumber(latest[1] or 0)
if call.number < number then
  return {now, 'stale'}
end
if call.number == number then
  for id in string.gmatch(latest[3], '%S+') do
    local record = read(id)
    if record and token_of(record) == latest[2] then
      give(id, record)
    end
  end
  return reply()
end
for _, request in ipairs(call.flows) do
  if not draw(request) then
    break
  end
end
redis.call('HSET', sender, 'number', call.number, 'token', call.token, 'ids', table.concat(ids, ' '))
redis.call('PEXPIRE', sender, 86400000)
conclude_call()
return reply()

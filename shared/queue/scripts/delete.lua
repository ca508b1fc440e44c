#!lua flags=allow-oom
-- delete: drop final messages before retention does.
-- call   operation, tenant, ids
-- gives  {now, 'ok', status, state, …} for each id; status is `done`, `live` or `missing`
-- moves  sent | partly_sent | failed | cancelled | expired | suppressed -> nothing
-- uses   _clock _keys _record _places _owner _erase
-- A submission that was written twice may arrive again until its `not_after`, and must find that it was taken.
local function remember(id, record)
  local first = {record.created, record.send or '', record.expires or '', record.flow}
  redis.call('SET', key('operation', id), cjson.encode(first), 'PX', 60000)
end

local function delete(id)
  local record = owned(id)
  if not record then
    return 'missing', ''
  end
  if LIVE[record.state] then
    return 'live', record.state
  end
  remember(id, record)
  erase(id, record)
  return 'done', record.state
end

local results = {}
for _, id in ipairs(call.ids) do
  results[#results + 1], results[#results + 2] = delete(id)
end
conclude_call()
return answer(results)

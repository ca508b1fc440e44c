#!lua flags=no-writes
-- examine: judge some messages by the one invariant: each in exactly one place, which its record
-- names, with its body as long as the record does not say that it was dropped.
-- call   ids
-- gives  {now, 'ok', {id, fault, …}…} for those with faults
-- uses   _clock _keys _record
local PRIORITIES = {'critical', 'high', 'normal', 'bulk'}
local places = {'leased', 'failed', 'finished'}
for _, priority in ipairs(PRIORITIES) do
  places[#places + 1] = 'scheduled:' .. priority
  places[#places + 1] = 'retry:' .. priority
  for _, pool in ipairs(redis.call('SMEMBERS', set('pools'))) do
    places[#places + 1] = 'ready:' .. pool .. ':' .. priority
  end
end

local function places_of(id)
  local found = {}
  for _, place in ipairs(places) do
    if redis.call('ZSCORE', set(place), id) then
      found[#found + 1] = place
    end
  end
  return found
end

local function faults_of(id)
  local record, found, faults = read(id), places_of(id), {}
  if not record then
    if #found > 0 then
      faults[1] = 'lies in ' .. table.concat(found, ' and ') .. ' without a record'
    elseif redis.call('EXISTS', key('body', id)) == 1 then
      faults[1] = 'has a body without a record'
    end
    return faults
  end
  if #found == 0 then
    faults[#faults + 1] = 'lies in no place; its record names ' .. record.place
  elseif #found > 1 then
    faults[#faults + 1] = 'lies in ' .. table.concat(found, ' and ')
  elseif found[1] ~= record.place then
    faults[#faults + 1] = 'lies in ' .. found[1] .. '; its record names ' .. record.place
  end
  if redis.call('EXISTS', key('body', id)) == 0 then
    faults[#faults + 1] = 'has no body'
  end
  for piece = 1, record.pieces or 0 do
    if redis.call('TTL', key('piece', id) .. ':' .. piece) ~= -1 then
      faults[#faults + 1] = 'lacks piece ' .. piece .. ' of its content, or it will expire'
    end
  end
  return faults
end

local judged = {}
for _, id in ipairs(call.ids) do
  local faults = faults_of(id)
  if #faults > 0 then
    judged[#judged + 1] = {id, unpack(faults)}
  end
end
return {now, 'ok', unpack(judged)}

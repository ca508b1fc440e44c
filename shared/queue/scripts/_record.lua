-- _record: a message's record, read once in a call, and written by `save_records`.
-- A record's table holds what was assigned since it was read, `false` for a field to be removed;
-- what was read shines through. Nothing is written until the whole call is decided: Redis takes
-- back nothing when a script fails.
local records, flats, as_read, changed = {}, {}, {}, {}

local function read(id)
  if records[id] ~= nil then
    return records[id]
  end
  local flat = redis.call('HGETALL', key('message', id))
  if #flat == 0 then
    records[id] = false
    return false
  end
  local before = {}
  for i = 1, #flat, 2 do
    before[flat[i]] = flat[i + 1]
  end
  flats[id], as_read[id] = flat, before
  records[id] = setmetatable({}, {__index = before})
  return records[id]
end

local function text(value)
  if type(value) == 'number' then
    return string.format('%d', value)
  end
  return value
end

local function save(id, record)
  records[id] = record
  changed[#changed + 1] = id
end

local function save_record(id)
  local before = as_read[id] or {}
  local written, removed = {}, {}
  for field, value in pairs(records[id]) do
    if not value then
      removed[#removed + 1] = before[field] and field
    elseif text(value) ~= before[field] then
      written[#written + 1] = field
      written[#written + 1] = text(value)
    end
  end
  if #written > 0 then
    redis.call('HSET', key('message', id), unpack(written))
  end
  if #removed > 0 then
    redis.call('HDEL', key('message', id), unpack(removed))
  end
end

local function save_records()
  for _, id in ipairs(changed) do
    if records[id] then
      save_record(id)
    end
  end
end

-- _head: a body without its content.
local function head(id)
  local body = key('body', id)
  local prefix = redis.call('GETRANGE', body, 0, 4)
  local _, length = struct.unpack('>BI4', prefix)
  return redis.call('GETRANGE', body, 0, 4 + length)
end

-- _pause: whether something is paused in this shard; asked once of each name in a call.
local asked = {}

local function is_paused(what)
  if asked[what] == nil then
    local pause = redis.call('HGET', set('pauses'), what)
    local ends = pause and string.match(pause, '^%S+')
    asked[what] = ends and (ends == '-' or tonumber(ends) > now)
  end
  return asked[what]
end

#!lua flags=no-writes
-- pauses: what is paused now.
-- call   nothing
-- gives  {now, 'ok', {what, until or false, told}…}
-- uses   _clock _keys
-- KEYS[1] is the tag of the service.
local paused = {}
local found = redis.call('HGETALL', set('pauses'))
for i = 1, #found, 2 do
  local ends, told = string.match(found[i + 1], '^(%S+) (.*)$')
  if ends == '-' or tonumber(ends) > now then
    paused[#paused + 1] = {found[i], ends ~= '-' and ends, told}
  end
end
return {now, 'ok', unpack(paused)}

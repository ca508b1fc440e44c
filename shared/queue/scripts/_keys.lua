-- _keys: the shard's tag, the call's arguments, and the instant of the call.
-- KEYS[1] is the hash tag itself. Every key of a call is derived from it: a lease cannot know
-- beforehand which messages it will meet, and one tag is one slot.
local tag = KEYS[1]
local call = cjson.decode(ARGV[1])

local function key(kind, id)
  return tag .. ':' .. kind .. ':' .. id
end

local function set(name)
  return tag .. ':' .. name
end

local now = clock()

-- A command written to a frozen server runs when it thaws, long after its caller gave up.
if call.not_after and now > call.not_after then
  return {now, 'too_late'}
end

-- _erase: a final message leaves nothing behind but its idempotency record.
local function erase(id, record)
  leave(id, record)
  local gone = {
    key('message', id), key('body', id), key('attempts', id), key('recipients', id), key('history', id),
  }
  for piece = 1, record.pieces or 0 do
    gone[#gone + 1] = key('piece', id) .. ':' .. piece
  end
  redis.call('UNLINK', unpack(gone))
  put('content', id, false)
  redis.call('XDEL', set('log'), record.created)
  records[id] = false
end

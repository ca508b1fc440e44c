#!lua flags=allow-oom
-- promote: make ready what is due, the most urgent first, each with the time it was due.
-- call   limit
-- gives  {now, 'ok', next due instant or -1, {id, state before, due, trace or '', …}, now}
-- moves  scheduled -> queued; retrying -> queued
-- uses   _clock _keys _record _places _endings
local promoted = {}
local left = call.limit
for _, name in ipairs(DUE) do
  local waiting = redis.call('ZRANGEBYSCORE', set(name), '-inf', now, 'WITHSCORES', 'LIMIT', 0, left)
  for i = 1, #waiting, 2 do
    local id, instant = waiting[i], waiting[i + 1]
    local record = read_entry(name, id)
    if record then
      for _, told in ipairs({id, record.state, instant, record.trace or ''}) do
        promoted[#promoted + 1] = told
      end
      leave(id, record)
      record.waiting = false
      enter_ready(id, record, instant)
      note(id, record, 'queued')
      save(id, record)
    end
  end
  left = left - #waiting / 2
end
conclude_call()
return {now, 'ok', next_due(), promoted, now}

-- Parked tasks, prepended to every script. A worker that does not serve a task's type moves the task from its queue to the
-- list of that queue and type. Workers that serve the type dequeue from this list first. The set `longtasks:parked` names
-- these lists as queue:type, so that nothing has to search for them. It is empty except during deploys and where workers
-- serve only some types.
local PARKED = 'longtasks:parked'

local function list_parked_types(queue)
  -- Returns the types of the tasks that are parked in that queue.
  local types = {}
  for _, name in ipairs(redis.call('SMEMBERS', PARKED)) do
    if string.sub(name, 1, #queue + 1) == queue .. ':' then types[#types + 1] = string.sub(name, #queue + 2) end
  end
  return types
end

local function parked_list(queue, type_name)
  return PARKED .. ':' .. queue .. ':' .. type_name
end

local function forget_empty(queue, type_name)
  if redis.call('EXISTS', parked_list(queue, type_name)) == 0 then
    redis.call('SREM', PARKED, queue .. ':' .. type_name)
  end
end

local function read_string(snapshot, field)
  -- orjson writes no spaces, and most names need no escape. Otherwise decode the whole snapshot.
  local text = string.match(snapshot, '^{"id":"[^"\\]*","name":"([^"\\]*)"')
  if field == 'name' and text then return text end
  local ok, data = pcall(cjson.decode, snapshot)
  return ok and type(data) == 'table' and type(data[field]) == 'string' and data[field] or nil
end

local function park(queue, id, type_name)
  redis.call('RPUSH', parked_list(queue, type_name), id)
  redis.call('SADD', PARKED, queue .. ':' .. type_name)
  redis.call('HSET', 'rq:job:' .. id, 'parked_at', redis.call('TIME')[1])
end

local function is_parked(id)
  for _, name in ipairs(redis.call('SMEMBERS', PARKED)) do
    if redis.call('LPOS', PARKED .. ':' .. name, id) then return true end
  end
  return false
end

local function leave_parked(id)
  local found = 0
  for _, name in ipairs(redis.call('SMEMBERS', PARKED)) do
    found = found + redis.call('LREM', PARKED .. ':' .. name, 0, id)
    if redis.call('EXISTS', PARKED .. ':' .. name) == 0 then redis.call('SREM', PARKED, name) end
  end
  return found > 0
end

local function count_waiting(queue)
  local waiting = redis.call('LLEN', 'rq:queue:' .. queue)
  for _, type_name in ipairs(list_parked_types(queue)) do
    waiting = waiting + redis.call('LLEN', parked_list(queue, type_name))
  end
  return waiting
end

local function write_error(stream, id, error)
  -- Writes into a task's snapshot that no worker knows its type; the error 'null' removes that.
  local job = 'rq:job:' .. id
  local snapshot = redis.call('HGET', job, 's')
  if not snapshot then return end
  local cause = error == 'null' and 'progress' or 'unknown_type'
  snapshot = string.sub(snapshot, 1, -2) .. ',"cause":"' .. cause .. '","actor":"","error":' .. error .. '}'
  redis.call('HSET', job, 's', snapshot)
  redis.call('XADD', stream, '*', 's', snapshot)
end

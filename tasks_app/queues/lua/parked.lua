-- Parked tasks, prepended to every script: a worker that does not serve a task's type takes the task off its queue and
-- puts it into the list of that queue and type, from which workers that serve the type take first. `longtasks:parked`
-- names these lists as queue:type, so that nothing has to search for them; it is empty but during deploys and where
-- workers serve some types only.
local PARKED = 'longtasks:parked'

local function list_parked(queue)
  -- Returns the types of which tasks of that queue are parked.
  local types = {}
  for _, place in ipairs(redis.call('SMEMBERS', PARKED)) do
    if string.sub(place, 1, #queue + 1) == queue .. ':' then types[#types + 1] = string.sub(place, #queue + 2) end
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
  -- orjson writes no blanks, and these names need no escape; else the whole snapshot is decoded.
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
  for _, place in ipairs(redis.call('SMEMBERS', PARKED)) do
    if redis.call('LPOS', PARKED .. ':' .. place, id) then return true end
  end
  return false
end

local function leave_parked(id)
  local found = 0
  for _, place in ipairs(redis.call('SMEMBERS', PARKED)) do
    found = found + redis.call('LREM', PARKED .. ':' .. place, 0, id)
    if redis.call('EXISTS', PARKED .. ':' .. place) == 0 then redis.call('SREM', PARKED, place) end
  end
  return found > 0
end

local function count_waiting(queue)
  local waiting = redis.call('LLEN', 'rq:queue:' .. queue)
  for _, type_name in ipairs(list_parked(queue)) do
    waiting = waiting + redis.call('LLEN', parked_list(queue, type_name))
  end
  return waiting
end

local function write_error(stream, id, error)
  -- Says in a task's snapshot that no worker knows its type; 'null' takes that back. A shard's task says it too.
  local job = 'rq:job:' .. id
  local snapshot = redis.call('HGET', job, 's')
  if not snapshot then return end
  local cause = error == 'null' and 'progress' or 'unknown_type'
  snapshot = string.sub(snapshot, 1, -2) .. ',"cause":"' .. cause .. '","actor":"","error":' .. error .. '}'
  redis.call('HSET', job, 's', snapshot)
  redis.call('XADD', stream, '*', 's', snapshot)
end

-- Take tasks for a worker: from the first queue that is neither empty nor paused (`rq suspend` pauses all), either one
-- task, or as many small ones as may share a chunk. Each is marked started and noted in RQ's registry of started jobs in
-- the same step, so that a worker that dies right after has lost nothing. A task whose type the worker does not serve
-- is parked; its history says so only where the worker serves all types that it knows. A task that has ended and was
-- enqueued by RQ's own requeue is noted only: it is not started, its worker retries it.
-- KEYS: 1 the stream
-- ARGV: 1 worker  2 tasks at most  3 records at most  4 '1': it serves a part of the types that it knows
--       5 number of types that it serves, then their names, then the queues in order
-- Returns {last id of the stream, {queue, id, snapshot, failures, solo, ended: '1' or ''}, …}; '' as the id: parked so
-- many that the rest of the queue was not looked at.
local stream, worker = KEYS[1], ARGV[1]
local max_tasks, max_records = tonumber(ARGV[2]), tonumber(ARGV[3])
local MOST_PARKED = 500  -- in one script, which holds up all others
local is_partial = ARGV[4] == '1'
local first_queue = 6 + tonumber(ARGV[5])
local now = format_time(read_clock())
local taken, records, full, parked = {}, 0, false, 0
local knows = {}
for i = 6, first_queue - 1 do knows[ARGV[i]] = true end

local function has_ended(snapshot)
  -- Decoding each snapshot would cost too much: only one that has the text somewhere, be it in its params.
  if not string.find(snapshot, '"ended_at":"', 1, true) then return false end
  local ok, told = pcall(cjson.decode, snapshot)
  return ok and type(told) == 'table' and type(told.ended_at) == 'string'
end

local function list_sources(queue)
  -- Parked tasks have been at the head of the queue: they come first.
  local sources = {}
  for _, type_name in ipairs(list_parked(queue)) do
    if knows[type_name] then sources[#sources + 1] = {parked_list(queue, type_name), type_name} end
  end
  sources[#sources + 1] = {'rq:queue:' .. queue}
  return sources
end

local function put_aside(queue, id, type_name, snapshot)
  local job = 'rq:job:' .. id
  local is_new = redis.call('HEXISTS', job, 'parked_at') == 0
  park(queue, id, type_name)
  parked = parked + 1
  if is_new and not is_partial then  -- its history says it once
    snapshot = string.sub(snapshot, 1, -2) .. ',"status":"queued","cause":"unknown_type","actor":""}'
    redis.call('HSET', job, 's', snapshot)
    redis.call('XADD', stream, '*', 's', snapshot)
  end
end

local function take_from(queue, list)
  while #taken < max_tasks and not full and parked < MOST_PARKED do
    local id = redis.call('LINDEX', list, 0)
    if not id then break end
    local job = 'rq:job:' .. id
    local found = redis.call('HMGET', job, 'status', 's', 'w', 'failures', 'solo', 'created_at', 'parked_error')
    local snapshot, weight = found[2], tonumber(found[3] or '0')
    local ended = snapshot and has_ended(snapshot)
    local alone = not snapshot or weight == 0 or weight > max_records or found[5] or ended
    local type_name = snapshot and read_string(snapshot, 'name')
    local is_known = not type_name or ended or knows[type_name]
    if is_known and #taken > 0 and (alone or records + weight > max_records) then
      full = true
      break
    end
    redis.call('LPOP', list)
    redis.call('SREM', 'longtasks:urgent:' .. queue, id)
    local status = found[1]
    if status == 'finished' or status == 'canceled' then
      -- RQ's tools have ended it.
    elseif not is_known then
      put_aside(queue, id, type_name, snapshot)
    else
      -- The score is when RQ would call the job abandoned: never, the lease in the database decides that.
      redis.call('ZADD', 'rq:wip:' .. queue, '+inf', id .. ':' .. worker)
      if snapshot and not ended then
        local attempts = tonumber(found[4] or '0') + 1
        -- Where web's clock is ahead, a task does not begin before it was accepted.
        local began = found[6] and found[6] > now and found[6] or now
        local first = string.find(snapshot, '"started_at":"', 1, true) == nil
        if found[7] then
          redis.call('HDEL', job, 'parked_error')
          snapshot = string.sub(snapshot, 1, -2) .. ',"error":null}'
          local parent = string.find(snapshot, '"parent":"', 1, true) and read_string(snapshot, 'parent')
          if parent and redis.call('HDEL', 'rq:job:' .. parent, 'parked_error') == 1 then
            write_error(stream, parent, 'null')
          end
        end
        snapshot = string.sub(snapshot, 1, -2) .. ',"status":"started","cause":"take","actor":"","worker":"' .. worker
          .. '","attempts":' .. attempts .. ',"next_attempt_at":null'
          .. (first and (',"started_at":"' .. began .. '"}') or '}')
        redis.call('HSET', job, 'status', 'started', 'started_at', now, 'worker_name', worker, 's', snapshot)
        redis.call('XADD', stream, '*', 's', snapshot)
      end
      taken[#taken + 1] = {queue, id, snapshot or '', found[4] or '0', found[5] or '', ended and '1' or ''}
      records = records + weight
      full = alone
    end
  end
end

for i = first_queue, #ARGV do
  local queue = ARGV[i]
  if redis.call('EXISTS', 'longtasks:paused:' .. queue, 'rq:suspended') == 0 then
    for _, source in ipairs(list_sources(queue)) do
      take_from(queue, source[1])
      if source[2] then forget_empty(queue, source[2]) end
    end
  end
  if #taken > 0 then break end
end

local last = '0-0'
if #taken == 0 and parked >= MOST_PARKED then
  last = ''
elseif #taken == 0 then
  local ok, info = pcall(redis.call, 'XINFO', 'STREAM', stream)
  if ok and not info.err then
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then last = info[i + 1] end
    end
  end
end
table.insert(taken, 1, last)
return taken

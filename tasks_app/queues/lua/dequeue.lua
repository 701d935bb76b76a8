-- Dequeue tasks for a worker from the first queue that is neither empty nor paused (`rq suspend` pauses all): one task, or
-- a batch of small ones. The same step marks each as started and adds it to RQ's registry of started jobs, so a worker
-- that dies right after has lost nothing. A task whose type the worker does not serve is parked; its history records that
-- only if the worker serves all types that it knows. A task that RQ's own requeue has enqueued after its end is only added
-- to the registry, not started: the worker retries it.
-- KEYS: 1 the stream
-- ARGV: 1 worker  2 maximum of tasks  3 maximum of records  4 '1': it serves only some of the types that it knows
--       5 number of types that it serves, then their names, then the queues in order
-- Returns {last id of the stream, {queue, id, snapshot, failures, solo, ended: '1' or ''}, …}. '' as the id: MAX_PARKED
-- tasks were parked, and the rest of the queue was not read.
local stream, worker = KEYS[1], ARGV[1]
local max_tasks, max_records = tonumber(ARGV[2]), tonumber(ARGV[3])
local MAX_PARKED = 500  -- in one run: a script blocks all other commands
local is_partial = ARGV[4] == '1'
local first_queue = 6 + tonumber(ARGV[5])
local now = format_time(read_clock())
local dequeued, records, full, parked = {}, 0, false, 0
local knows = {}
for i = 6, first_queue - 1 do knows[ARGV[i]] = true end

local function has_ended(snapshot)
  -- Decoding every snapshot would cost too much, so decode only those that contain this text, perhaps in their params.
  if not string.find(snapshot, '"ended_at":"', 1, true) then return false end
  local ok, decoded = pcall(cjson.decode, snapshot)
  return ok and type(decoded) == 'table' and type(decoded.ended_at) == 'string'
end

local function list_sources(queue)
  -- Parked tasks come first, because they have been at the head of the queue before.
  local sources = {}
  for _, type_name in ipairs(list_parked_types(queue)) do
    if knows[type_name] then sources[#sources + 1] = {parked_list(queue, type_name), type_name} end
  end
  sources[#sources + 1] = {'rq:queue:' .. queue}
  return sources
end

local function park_task(queue, id, type_name, snapshot)
  local job = 'rq:job:' .. id
  local is_new = redis.call('HEXISTS', job, 'parked_at') == 0
  park(queue, id, type_name)
  parked = parked + 1
  if is_new and not is_partial then  -- its history records it once
    snapshot = string.sub(snapshot, 1, -2) .. ',"status":"queued","cause":"unknown_type","actor":""}'
    redis.call('HSET', job, 's', snapshot)
    redis.call('XADD', stream, '*', 's', snapshot)
  end
end

local function dequeue_from(queue, list)
  while #dequeued < max_tasks and not full and parked < MAX_PARKED do
    local id = redis.call('LINDEX', list, 0)
    if not id then break end
    local job = 'rq:job:' .. id
    local found = redis.call('HMGET', job, 'status', 's', 'w', 'failures', 'solo', 'created_at', 'parked_error')
    local snapshot, weight = found[2], tonumber(found[3] or '0')
    local ended = snapshot and has_ended(snapshot)
    local is_isolated = not snapshot or weight == 0 or weight > max_records or found[5] or ended
    local type_name = snapshot and read_string(snapshot, 'name')
    local is_known = not type_name or ended or knows[type_name]
    if is_known and #dequeued > 0 and (is_isolated or records + weight > max_records) then
      full = true
      break
    end
    redis.call('LPOP', list)
    redis.call('SREM', 'longtasks:urgent:' .. queue, id)
    local status = found[1]
    if status == 'finished' or status == 'canceled' then
      -- RQ's tools have ended it.
    elseif not is_known then
      park_task(queue, id, type_name, snapshot)
    else
      -- The score is the time at which RQ treats the job as abandoned: never, because the lease in the database decides.
      redis.call('ZADD', 'rq:wip:' .. queue, '+inf', id .. ':' .. worker)
      if snapshot and not ended then
        local attempts = tonumber(found[4] or '0') + 1
        -- If web's clock is ahead, the task must not start before it was accepted.
        local started_at = found[6] and found[6] > now and found[6] or now
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
          .. (first and (',"started_at":"' .. started_at .. '"}') or '}')
        redis.call('HSET', job, 'status', 'started', 'started_at', now, 'worker_name', worker, 's', snapshot)
        redis.call('XADD', stream, '*', 's', snapshot)
      end
      dequeued[#dequeued + 1] = {queue, id, snapshot or '', found[4] or '0', found[5] or '', ended and '1' or ''}
      records = records + weight
      full = is_isolated
    end
  end
end

for i = first_queue, #ARGV do
  local queue = ARGV[i]
  if redis.call('EXISTS', 'longtasks:paused:' .. queue, 'rq:suspended') == 0 then
    for _, source in ipairs(list_sources(queue)) do
      dequeue_from(queue, source[1])
      if source[2] then forget_empty(queue, source[2]) end
    end
  end
  if #dequeued > 0 then break end
end

local last = '0-0'
if #dequeued == 0 and parked >= MAX_PARKED then
  last = ''
elseif #dequeued == 0 then
  local ok, info = pcall(redis.call, 'XINFO', 'STREAM', stream)
  if ok and not info.err then
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then last = info[i + 1] end
    end
  end
end
table.insert(dequeued, 1, last)
return dequeued

-- Move each task from its source to its target, and write its status and its snapshot in the same step.
-- KEYS: 1 the stream
-- ARGV: 17 for each task:
--   1 id  2 queue  3 source  4 worker (source started)  5 epoch  6 target
--   7 target scheduled: seconds until it is due, or 'at' and its requested start in seconds since 1970;
--     target ended: its start, or ''  8 job's time to live in seconds
--   9 snapshot  10 status  11 failures, or '' (unchanged)  12 solo: '1', or '' (unchanged)  13 data  14 created_at
--   15 timeout  16 description  17 weight
-- Sources: started (in the registry of started jobs, under that worker) | scheduled (and due) | waiting (in any queue)
--          | delayed (scheduled, for any queue) | missing (nowhere; RQ's registries of ended jobs do not count) | any
--          | ended | unchanged
-- Targets: front | back | urgent (front, and a busy worker is preempted) | yield (front, behind urgent tasks) | scheduled
--          | split (its shards run instead) | parked (for a worker that knows its type) | ended | stay
-- The end of a started task and the time of a next attempt are written by Redis's clock. A task that is delayed already
-- keeps its time, unless it has a requested start.
-- Returns 1 or 0 for each task. 0: the task was not at its source, or it has a newer epoch.
local STRIDE = 17
local stream = KEYS[1]
local seconds, micros = read_clock()
local now = format_time(seconds, micros)
local QUEUES, is_listed = {}, {}  -- the configured and the removed ones
for _, names in ipairs({CONFIGURED_QUEUES, redis.call('SMEMBERS', 'longtasks:queues')}) do
  for _, name in ipairs(names) do
    if not is_listed[name] then QUEUES[#QUEUES + 1] = name end
    is_listed[name] = true
  end
end
local REGISTRY = {finished = 'rq:finished:', failed = 'rq:failed:', stopped = 'rq:failed:', canceled = 'rq:canceled:'}
local results = {}

local function remove_started(id, test_only)
  local found = false
  for _, queue in ipairs(QUEUES) do
    for _, member in ipairs(redis.call('ZRANGE', 'rq:wip:' .. queue, 0, -1)) do
      if string.sub(member, 1, #id + 1) == id .. ':' then
        found = true
        if not test_only then redis.call('ZREM', 'rq:wip:' .. queue, member) end
      end
    end
  end
  return found
end

local function leave_ended(id)
  for _, prefix in pairs(REGISTRY) do
    for _, name in ipairs(QUEUES) do redis.call('ZREM', prefix .. name, id) end
  end
end

local function leave_intermediate(id)
  -- A worker of RQ's own has died and left it there; RQ's next worker would fail it for that.
  for _, name in ipairs(QUEUES) do redis.call('LREM', 'rq:queue:' .. name .. ':intermediate', 0, id) end
end

local function is_placed(id)
  -- After a FLUSHALL no job exists, and searching a long queue for each task would take too long. If the queue has an
  -- entry without a job all the same, the id is enqueued twice: the second dequeue cannot claim the task.
  if redis.call('EXISTS', 'rq:job:' .. id) == 0 then return remove_started(id, true) end
  for _, queue in ipairs(QUEUES) do
    if redis.call('LPOS', 'rq:queue:' .. queue, id) then return true end
    if redis.call('ZSCORE', 'rq:scheduled:' .. queue, id) then return true end
  end
  return redis.call('SISMEMBER', 'longtasks:split', id) == 1 or is_parked(id) or remove_started(id, true)
end

local function leave(source, queue, id, worker, target)
  if source == 'started' then
    local was = redis.call('ZREM', 'rq:wip:' .. queue, id .. ':' .. worker)
    if target == 'urgent' then leave_intermediate(id) end
    -- The database has decided the end of the task, even if the registry no longer has its worker.
    return was == 1 or target == 'ended'
  elseif source == 'scheduled' then
    -- It may have got a later time since it was read as due.
    local score = redis.call('ZSCORE', 'rq:scheduled:' .. queue, id)
    if not score or tonumber(score) > seconds + micros / 1e6 then return false end
    return redis.call('ZREM', 'rq:scheduled:' .. queue, id) == 1
  elseif source == 'waiting' then
    for _, name in ipairs(QUEUES) do
      if redis.call('LREM', 'rq:queue:' .. name, 1, id) == 1 then
        redis.call('SREM', 'longtasks:urgent:' .. name, id)
        return true
      end
    end
    return leave_parked(id)
  elseif source == 'delayed' then
    local removed = 0
    for _, name in ipairs(QUEUES) do removed = removed + redis.call('ZREM', 'rq:scheduled:' .. name, id) end
    return removed > 0
  elseif source == 'missing' then
    if is_placed(id) then return false end
    -- A worker of RQ's own may have failed it.
    leave_ended(id)
    leave_intermediate(id)
    return true
  elseif source == 'any' then
    for _, name in ipairs(QUEUES) do
      redis.call('LREM', 'rq:queue:' .. name, 0, id)
      redis.call('SREM', 'longtasks:urgent:' .. name, id)
      redis.call('ZREM', 'rq:scheduled:' .. name, id)
    end
    redis.call('SREM', 'longtasks:split', id)
    leave_parked(id)
    remove_started(id, false)
    return true
  elseif source == 'ended' then
    leave_ended(id)
    return not is_placed(id)
  end
  return true
end

local function is_published(job, status)
  -- RQ's own tools change only the status, so the snapshot must have the status too.
  local found = redis.call('HMGET', job, 'status', 's')
  return found[1] == status and found[2] and string.find(found[2], '"status":"' .. status .. '"', 1, true)
end

local function add_time(snapshot, name, text)
  return string.sub(snapshot, 1, -2) .. ',"' .. name .. '":"' .. text .. '"}'  -- of two values the last one counts
end

local function find_score(id)
  for _, name in ipairs(QUEUES) do
    local score = redis.call('ZSCORE', 'rq:scheduled:' .. name, id)
    if score then return score end
  end
end

pass_when_full()
for i = 1, #ARGV, STRIDE do
  local id, queue, source, worker = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local epoch, target, ttl = tonumber(ARGV[i + 4]), ARGV[i + 5], tonumber(ARGV[i + 7])
  local snapshot, status = ARGV[i + 8], ARGV[i + 9]
  local job, list = 'rq:job:' .. id, 'rq:queue:' .. queue
  local start = target == 'scheduled' and string.match(ARGV[i + 6], '^at(.+)$')
  local due = start or source == 'delayed' and find_score(id)
  if target == 'scheduled' and not due then
    due = seconds + micros / 1e6 + math.max(0, tonumber(ARGV[i + 6]))
    snapshot = add_time(snapshot, 'next_attempt_at', format_time(math.floor(due), math.floor(due % 1 * 1e6)))
  elseif target == 'ended' and source == 'started' then
    snapshot = add_time(snapshot, 'ended_at', ARGV[i + 6] > now and ARGV[i + 6] or now)
  end
  local newest = tonumber(redis.call('HGET', job, 'epoch') or '0')
  local applied = 0
  if target == 'ended' and newest == epoch and is_published(job, status) then
    -- Published before, by the worker or by recovery.
    leave(source, queue, id, worker, target)
    applied = 1
  elseif target == 'stay' and newest == epoch and REGISTRY[redis.call('HGET', job, 'status') or ''] then
    applied = 0  -- it has ended meanwhile
  elseif newest <= epoch and (target == 'stay' or leave(source, queue, id, worker, target)) then
    applied = 1
    if target == 'stay' or target == 'ended' then
      -- A job that Redis has lost (FLUSHALL) is not restored in part: the snapshot in the stream is enough.
      if redis.call('EXISTS', job) == 1 then
        redis.call('HSET', job, 'status', status, 's', snapshot, 'epoch', epoch)
        if target == 'ended' then
          redis.call('HSET', job, 'ended_at', now)
          redis.call('HDEL', job, 'solo', 'failures', 'parked_at', 'parked_error')
          redis.call('SREM', 'longtasks:split', id)
          if ttl > 0 then
            redis.call('EXPIRE', job, ttl)
            leave_ended(id)
            redis.call('ZADD', REGISTRY[status] .. queue, seconds + ttl, id)
          else
            redis.call('DEL', job)
          end
        end
      end
    else
      redis.call('HSET', job, 'status', status, 's', snapshot, 'epoch', epoch, 'origin', queue, 'enqueued_at', now,
        'data', ARGV[i + 12], 'created_at', ARGV[i + 13], 'timeout', ARGV[i + 14], 'description', ARGV[i + 15],
        'w', ARGV[i + 16])
      redis.call('PERSIST', job)
      if ARGV[i + 10] ~= '' then redis.call('HSET', job, 'failures', ARGV[i + 10]) end
      if ARGV[i + 11] == '1' then redis.call('HSET', job, 'solo', '1') end
      -- No worker runs it. RQ's stop command then reports that, instead of sending a command to the last worker.
      if target ~= 'split' then redis.call('HDEL', job, 'worker_name') end
      if target == 'front' or target == 'urgent' then
        redis.call('LPUSH', list, id)
        if target == 'urgent' then redis.call('SADD', 'longtasks:urgent:' .. queue, id) end
      elseif target == 'yield' then
        local urgent = redis.call('SCARD', 'longtasks:urgent:' .. queue)
        local first = urgent > 0 and redis.call('LPOP', list, urgent) or {}
        redis.call('LPUSH', list, id)
        for k = #(first or {}), 1, -1 do redis.call('LPUSH', list, first[k]) end
      elseif target == 'back' then
        redis.call('RPUSH', list, id)
      elseif target == 'parked' then
        park(queue, id, read_string(snapshot, 'name') or '')
      elseif target == 'split' then
        redis.call('SADD', 'longtasks:split', id)
      elseif target == 'scheduled' then
        redis.call('ZADD', 'rq:scheduled:' .. queue, due, id)
      end
      redis.call('SADD', 'rq:queues', list)
      redis.call('SADD', 'longtasks:queues', queue)
    end
    redis.call('XADD', stream, '*', 's', snapshot)
    -- For requests that wait for the end (end_watcher.py). If an ACL forbids the channel, they notice the end later.
    if REGISTRY[status] then redis.pcall('PUBLISH', 'longtasks:ended:' .. id, snapshot) end
  end
  results[#results + 1] = applied
end
return results

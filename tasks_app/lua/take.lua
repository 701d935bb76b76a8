-- Take tasks for a worker: from the first queue that is neither empty nor paused, either one task, or as many
-- small ones as may share a chunk. Each is marked started and noted in RQ's registry of started jobs in the same
-- step, so that a worker that dies right after has lost nothing.
-- KEYS: 1 the stream
-- ARGV: 1 worker  2 tasks at most  3 records at most, then the queues in order
-- Returns {last id of the stream, {queue, id, snapshot, failures, solo}, …}
local stream, worker = KEYS[1], ARGV[1]
local max_tasks, max_records = tonumber(ARGV[2]), tonumber(ARGV[3])
local now = format_time(read_clock())
local taken, records, full = {}, 0, false

for i = 4, #ARGV do
  local queue = ARGV[i]
  local list = 'rq:queue:' .. queue
  if redis.call('EXISTS', 'longtasks:paused:' .. queue) == 0 then
    while #taken < max_tasks and not full do
      local id = redis.call('LINDEX', list, 0)
      if not id then break end
      local job = 'rq:job:' .. id
      local found = redis.call('HMGET', job, 'status', 's', 'w', 'failures', 'solo', 'created_at')
      local snapshot, weight = found[2], tonumber(found[3] or '0')
      local alone = not snapshot or weight == 0 or weight > max_records or found[5]
      if #taken > 0 and (alone or records + weight > max_records) then break end
      redis.call('LPOP', list)
      redis.call('SREM', 'longtasks:urgent:' .. queue, id)
      local status = found[1]
      if status ~= 'finished' and status ~= 'canceled' then
        -- The score is when RQ would call the job abandoned: never, the lease in the database decides that.
        redis.call('ZADD', 'rq:wip:' .. queue, '+inf', id .. ':' .. worker)
        if snapshot then
          local attempts = tonumber(found[4] or '0') + 1
          -- Where web's clock is ahead, a task does not begin before it was accepted.
          local began = found[6] and found[6] > now and found[6] or now
          local first = string.find(snapshot, '"started_at":"', 1, true) == nil
          snapshot = string.sub(snapshot, 1, -2) .. ',"status":"started","cause":"take","actor":"","worker":"' .. worker
            .. '","attempts":' .. attempts .. ',"next_attempt_at":null'
            .. (first and (',"started_at":"' .. began .. '"}') or '}')
          redis.call('HSET', job, 'status', 'started', 'started_at', now, 'worker_name', worker, 's', snapshot)
          redis.call('XADD', stream, '*', 's', snapshot)
        end
        taken[#taken + 1] = {queue, id, snapshot or '', found[4] or '0', found[5] or ''}
        records = records + weight
        full = alone
      end
    end
  end
  if #taken > 0 then break end
end

local last = '0-0'
if #taken == 0 then
  local ok, info = pcall(redis.call, 'XINFO', 'STREAM', stream)
  if ok and not info.err then
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then last = info[i + 1] end
    end
  end
end
table.insert(taken, 1, last)
return taken

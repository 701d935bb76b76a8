-- Accept all tasks or none: write each one's RQ job, its queue entry and its snapshot in the stream. A task with a start
-- goes to RQ's registry of scheduled jobs instead of the queue; both are limited, each by itself.
-- KEYS: 1 the stream  2 the idempotency key, or ''
-- ARGV: 1 value of the idempotency key  2 its time to live in seconds, then 10 for each task:
--       queue, limit of that queue, id, snapshot, data, created_at, timeout, description, weight,
--       start (seconds since 1970), or '' for at once
-- Returns {'ok', seconds, microseconds: the time} | {'replay', value} | {'full', queue, waiting, limit, ended per second,
-- '1' if the scheduled tasks are too many, else ''}
local STRIDE = 10
local stream, idempotency = KEYS[1], KEYS[2]

if idempotency ~= '' then
  local value = redis.call('GET', idempotency)
  if value then return {'replay', value} end
end

local wanted, scheduled, limits = {}, {}, {}
for i = 3, #ARGV, STRIDE do
  local counted = ARGV[i + 9] == '' and wanted or scheduled
  counted[ARGV[i]] = (counted[ARGV[i]] or 0) + 1
  limits[ARGV[i]] = tonumber(ARGV[i + 1])
end
for queue, count in pairs(wanted) do
  local waiting = count_waiting(queue)
  if waiting + count > limits[queue] then
    return {'full', queue, waiting, limits[queue], redis.call('GET', 'longtasks:drain:' .. queue) or '0', ''}
  end
end
for queue, count in pairs(scheduled) do
  local waiting = redis.call('ZCARD', 'rq:scheduled:' .. queue)
  if waiting + count > limits[queue] then return {'full', queue, waiting, limits[queue], '0', '1'} end
end
for queue in pairs(limits) do redis.call('SADD', 'longtasks:queues', queue) end

for i = 3, #ARGV, STRIDE do
  local queue, id = ARGV[i], ARGV[i + 2]
  local job, start = 'rq:job:' .. id, ARGV[i + 9]
  -- A client library may resend a script whose reply was lost.
  if redis.call('EXISTS', job) == 0 then
    redis.call('HSET', job, 'status', start == '' and 'queued' or 'scheduled', 'origin', queue, 'data', ARGV[i + 4],
      'created_at', ARGV[i + 5], 'enqueued_at', ARGV[i + 5], 'timeout', ARGV[i + 6],
      'description', ARGV[i + 7], 'w', ARGV[i + 8], 's', ARGV[i + 3])
    if start == '' then
      redis.call('RPUSH', 'rq:queue:' .. queue, id)
    else
      redis.call('ZADD', 'rq:scheduled:' .. queue, start, id)
    end
    redis.call('XADD', stream, '*', 's', ARGV[i + 3])
  end
end
if idempotency ~= '' then
  redis.call('SET', idempotency, ARGV[1], 'EX', ARGV[2])
end
return {'ok', read_clock()}

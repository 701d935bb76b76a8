-- Enqueue a due scheduled job of another function, as RQ's own scheduler does. If the job is gone, remove its entry.
-- KEYS: 1 the registry of scheduled jobs  2 the queue  3 the job
-- ARGV: 1 the job's id
-- Returns 'queued' | 'gone' | 'task': it has a snapshot, and stays scheduled | 'left': another process was first
local registry, list, job, id = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local now = format_time(read_clock())
if redis.call('HEXISTS', job, 's') == 1 then return 'task' end
if redis.call('ZREM', registry, id) == 0 then return 'left' end
if redis.call('EXISTS', job) == 0 then return 'gone' end
redis.call('HSET', job, 'status', 'queued', 'enqueued_at', now)
redis.call(redis.call('HGET', job, 'enqueue_at_front') == '1' and 'LPUSH' or 'RPUSH', list, id)
redis.call('SADD', 'rq:queues', list)
return 'queued'
